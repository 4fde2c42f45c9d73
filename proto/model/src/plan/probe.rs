//! How is a target probed, and which answer is right?
//!
//! One [`Probe`] is complete: kind, address, options, expectations. Secrets stay on the agent: the plan carries the name
//! of a file that the agent reads, never its content.

use std::collections::BTreeMap;
use std::net::SocketAddr as ResolverAddress;
use std::path::PathBuf as AgentFile;

use serde::{Deserialize, Serialize};

use super::read::format::text;
use super::read::raw::Named;
use crate::id::{Region, Zone};
use crate::time::Millis;

/// How to make one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What is spoken.
    pub kind: ProbeKind,
    /// An attempt without a complete answer after so long is down. 10 ms to 60 s.
    pub timeout: Millis,
    /// Attempts after a failed one within the slot, each a measurement of its own. 0 to 3.
    pub retries: u8,
    /// How names become connections.
    pub connect: ConnectOptions,
    /// How TLS is done, where it is.
    pub tls: TlsOptions,
    /// Where the answer tells who served, if it does.
    pub served: Option<ServedFrom>,
}

/// What is spoken with the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeKind {
    /// A request over HTTP or HTTPS.
    Http(Box<HttpProbe>),
    /// A TCP connection, perhaps with a line sent and a reply expected.
    Tcp(TcpProbe),
    /// A DNS query.
    Dns(DnsProbe),
    /// A TLS handshake and no more.
    Tls(TlsProbe),
    /// A call of `grpc.health.v1.Health/Check`.
    Grpc(GrpcProbe),
}

impl ProbeKind {
    /// `http`, `tcp`, `dns`, `tls` or `grpc`.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Dns(_) => "dns",
            Self::Tls(_) => "tls",
            Self::Grpc(_) => "grpc",
        }
    }
}

/// From names to connections.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectOptions {
    /// Which addresses may be used.
    pub family: IpFamily,
    /// Asks this resolver (UDP, TCP when truncated) instead of those of the system.
    #[schemars(with = "Option<text::SocketAddress>")]
    pub resolver: Option<ResolverAddress>,
}

/// Which addresses may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IpFamily {
    /// Both; IPv6 first as the resolver orders them, the first that connects wins.
    #[default]
    Any,
    /// Only IPv4.
    Ipv4,
    /// Only IPv6.
    Ipv6,
}

/// How TLS is done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsOptions {
    /// PEM file on the agent with the roots to trust instead of the public ones.
    pub ca_file: Option<AgentFile>,
    /// PEM file on the agent with our certificate chain.
    pub client_cert_file: Option<AgentFile>,
    /// PEM file on the agent with its key.
    pub client_key_file: Option<AgentFile>,
    /// The name to ask for and to verify, instead of the host of the address.
    pub server_name: Option<String>,
}

/// Where an answer tells who served it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServedFrom {
    /// Header whose value is the region, in any case.
    #[schemars(with = "Option<text::HeaderName>")]
    pub region_header: Option<String>,
    /// Header whose value is the zone.
    #[schemars(with = "Option<text::HeaderName>")]
    pub zone_header: Option<String>,
    /// JSON pointer (RFC 6901) to the region in the body.
    #[schemars(with = "Option<text::Pointer>")]
    pub region_json: Option<String>,
    /// JSON pointer to the zone in the body.
    #[schemars(with = "Option<text::Pointer>")]
    pub zone_json: Option<String>,
    /// Networks in CIDR notation, such as `10.1.0.0/16`, and the region and zone that own them.
    #[schemars(with = "Named<text::Network, ServedPlace>", extend("maxProperties" = 256))]
    pub addresses: BTreeMap<String, ServedPlace>,
}

/// A place that an address range belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServedPlace {
    /// The region.
    pub region: Region,
    /// The zone, if the range is one zone's.
    pub zone: Option<Zone>,
}

/// A text that may come from a file on the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretText {
    /// As written in the plan.
    Plain(String),
    /// Content of a file on the agent, trailing newline removed; read at each attempt, at most 64 KiB.
    File(AgentFile),
}

/// A request over HTTP or HTTPS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    /// Absolute `http://` or `https://` URL.
    pub url: String,
    /// Method, `GET` by default.
    pub method: String,
    /// Headers to send; names in lower case.
    pub headers: BTreeMap<String, SecretText>,
    /// Body to send.
    pub body: Option<SecretText>,
    /// Which version to speak.
    pub version: HttpVersion,
    /// Redirects to follow; 0 to 20, default 0: a redirect is then the final response.
    pub redirects_max: u8,
    /// A larger answer is down. 1 B to 16 MiB, default 1 MiB.
    pub body_bytes_max: u32,
    /// Which answer is right.
    pub expect: Expectation,
}

/// Which version of HTTP to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub enum HttpVersion {
    /// HTTP/2 when the server offers it by ALPN, else HTTP/1.1.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// HTTP/1.1 only.
    #[serde(rename = "1.1")]
    Http11,
    /// HTTP/2 only; without TLS by prior knowledge.
    #[serde(rename = "2")]
    Http2,
}

/// Which HTTP answer is right. All parts must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// Statuses; empty means 200-299.
    #[schemars(extend("maxItems" = 64))]
    pub status: Vec<StatusRange>,
    /// Headers that must match.
    #[schemars(extend("maxItems" = 64))]
    pub headers: Vec<HeaderExpectation>,
    /// Checks of the body.
    #[schemars(extend("maxItems" = 64))]
    pub body: Vec<BodyExpectation>,
    /// The certificate must be valid for at least so much longer.
    #[schemars(range(max = 3650))]
    pub certificate_days_min: Option<u32>,
}

/// A range of statuses, written `200` or `200-299`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StatusRange {
    /// First status, 100-599.
    pub first: u16,
    /// Last status, included.
    pub last: u16,
}

impl TryFrom<String> for StatusRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) if (100..=599).contains(&first) && first <= last && last <= 599 => {
                Ok(Self { first, last })
            }
            _ => Err(format!("{text:?} is not a status: write 200 or 200-299, within 100-599")),
        }
    }
}

impl From<StatusRange> for String {
    fn from(r: StatusRange) -> String {
        if r.first == r.last { r.first.to_string() } else { format!("{}-{}", r.first, r.last) }
    }
}

/// A header that must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderExpectation {
    /// Its name, lower case.
    #[schemars(with = "text::HeaderName")]
    pub name: String,
    /// Regular expression that one of its values must match; absent: it must be there.
    #[schemars(with = "Option<text::Pattern>")]
    pub matches: Option<String>,
    /// The header must not be there (or, with `matches`, no value may match).
    #[serde(default)]
    pub absent: bool,
}

/// One check of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyExpectation {
    /// Has this text in it.
    Contains(String),
    /// Does not have this text in it.
    NotContains(String),
    /// Matches this regular expression.
    Matches(#[schemars(with = "text::Pattern")] String),
    /// Is JSON with this value.
    Json(JsonExpectation),
}

/// A value within a JSON body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonExpectation {
    /// JSON pointer (RFC 6901); empty is the whole document.
    #[schemars(with = "text::Pointer")]
    pub pointer: String,
    /// The value that must stand there; absent: anything.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub equals: Option<serde_json::Value>,
}

/// A value that is there, also when it is null.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

/// A TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpProbe {
    /// `host:port`.
    pub address: String,
    /// Text to send once connected.
    pub send: Option<SecretText>,
    /// Regular expression that the first 64 KiB of the reply must match.
    pub expect: Option<String>,
}

/// A TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsProbe {
    /// `host:port`.
    pub address: String,
    /// The certificate must be valid for at least so much longer.
    pub certificate_days_min: Option<u32>,
}

/// A gRPC health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcProbe {
    /// `https://host:port` or `http://host:port`.
    pub url: String,
    /// Service to ask for; empty asks for the server as a whole.
    pub service: String,
}

/// A DNS query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsProbe {
    /// Resolver to ask, `ip:port`; absent asks the resolvers of the system.
    pub server: Option<ResolverAddress>,
    /// Name to ask for.
    pub name: String,
    /// Type of record.
    pub record: DnsRecordType,
    /// Answers of which each must be there, as text; empty: any answer will do.
    pub expect: Vec<String>,
}

/// Types of DNS record that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Alias.
    Cname,
    /// Mail exchange.
    Mx,
    /// Name server.
    Ns,
    /// Start of authority.
    Soa,
    /// Service location.
    Srv,
    /// Text.
    Txt,
    /// Reverse name.
    Ptr,
    /// Certificate authorities allowed.
    Caa,
}
