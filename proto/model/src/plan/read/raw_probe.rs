//! What may be said of a probe in a plan file?
//!
//! A probe is put together from three layers, later over earlier: `defaults.probe`, the `probe` of the endpoint, and the
//! target. So everything is optional here; whether the sum is complete is `build_probe.rs`'s business.

use std::collections::BTreeMap;
use std::path::PathBuf as AgentFile;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::format::text;
use super::raw::Named;
use crate::plan::{ConnectOptions, DnsRecordType, Expectation, HttpVersion, ServedFrom, TlsOptions};
use crate::time::Millis;

/// How an attempt is made. Exactly one of http, tcp, dns, tls and grpc; an address that begins with http:// or https://
/// means http when none is given.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Probe")]
pub(in crate::plan) struct RawProbe {
    /// What it is aimed at: a URL for http and grpc, host:port for tcp and tls, a name for dns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub address: Option<String>,
    /// A request over HTTP or HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<RawHttp>,
    /// A TCP connection, perhaps with a text sent and a reply expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<RawTcp>,
    /// A DNS query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<RawDns>,
    /// A TLS handshake and no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RawTls>,
    /// A call of `grpc.health.v1.Health/Check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<RawGrpc>,
    /// An attempt without a complete answer after so long is down. Default 8s, or four fifths of a slot when that is less;
    /// 10ms to 60s, and not longer than a slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Millis>,
    /// Attempts after a failed one within the slot, each a measurement of its own. Default 0; 0 to 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3))]
    pub retries: Option<u8>,
    /// How names become connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<ConnectOptions>,
    /// How TLS is done, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_options: Option<TlsOptions>,
    /// Where the answer tells who served it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<ServedFrom>,
}

/// A request over HTTP or HTTPS.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Http")]
pub(in crate::plan) struct RawHttp {
    /// Default GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<text::Method>")]
    pub method: Option<String>,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Named<text::SentHeader, text::HeaderText>", extend("maxProperties" = 64))]
    pub headers: BTreeMap<String, String>,
    /// Headers whose value is the content of a file on the agent, for secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Named<text::SentHeader, AgentFile>", extend("maxProperties" = 64))]
    pub header_files: BTreeMap<String, AgentFile>,
    /// Body to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub body: Option<String>,
    /// File on the agent with the body to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_file: Option<AgentFile>,
    /// Which version of HTTP to speak. Default auto.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<HttpVersion>,
    /// Redirects to follow. Default 0: a redirect is then the final response; 0 to 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 20))]
    pub redirects_max: Option<u8>,
    /// A larger answer is down. Default 1048576; 1 to 16777216.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub body_bytes_max: Option<u32>,
    /// Which answer is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
}

/// A TCP connection.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tcp")]
pub(in crate::plan) struct RawTcp {
    /// Text to send once connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub send: Option<String>,
    /// File on the agent with the text to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_file: Option<AgentFile>,
    /// Regular expression that the first 64 KiB of the reply must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<text::Pattern>")]
    pub expect: Option<String>,
}

/// A DNS query.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Dns")]
pub(in crate::plan) struct RawDns {
    /// Resolver to ask, as ip:port. Default: those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<text::SocketAddress>")]
    pub server: Option<std::net::SocketAddr>,
    /// Type of record. Default A.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<DnsRecordType>,
    /// Answers of which each must be there. Default: any answer will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub expect: Vec<String>,
}

/// A TLS handshake and no more.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tls")]
pub(in crate::plan) struct RawTls {
    /// The certificate must be valid for at least so many more days. 0 to 3650.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3650))]
    pub certificate_days_min: Option<u32>,
}

/// A call of `grpc.health.v1.Health/Check`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Grpc")]
pub(in crate::plan) struct RawGrpc {
    /// Service to ask for. Default: the server as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub service: Option<String>,
}

/// A probe as the file has it: parts to lay over others. A bare text is its address.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::plan) struct Target(pub Value);

impl JsonSchema for Target {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let probe = generator.subschema_for::<RawProbe>();
        json_schema!({
            "description": "Its address, or a map that replaces parts of the probe.",
            "anyOf": [{ "type": "string", "minLength": 1, "maxLength": 2048 }, probe],
            // A text stands for a map with this one key.
            "x-shorthand": "address",
        })
    }
}
