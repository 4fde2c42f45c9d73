//! Which texts may stand where a duration, a name or an address is asked for?
//!
//! A format is a name in the schema and a parser here. The parser is the one of the type that the text becomes, so a text that
//! passes the check can always be read afterwards.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::id::{AgentId, ControlId, EndpointName, PartnerId, Region, ServiceId, ShadowName, Vantage, Zone};
use crate::plan::{Ratio, StatusRange};
use crate::time::{Millis, SlotLength};

type Parser = fn(&str) -> Result<(), String>;

/// What reads a text of this format; `None` for a format that only editors look at.
pub(super) fn parser(format: &str) -> Option<Parser> {
    FORMATS.iter().find(|(name, _)| *name == format).map(|(_, parser)| *parser)
}

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident $kind:literal $pattern:expr, $parser:expr;)+) => {
        const FORMATS: &[(&str, Parser)] = &[$(($kind, $parser)),+];

        /// Types that only stand for a format in the schema.
        pub(in crate::plan) mod text {
            $($(#[$doc])* pub(in crate::plan) struct $name;)+
        }

        $(impl JsonSchema for text::$name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                match $pattern {
                    "" => json_schema!({ "type": "string", "format": $kind }),
                    // A value may come from the environment, which an editor cannot know.
                    pattern => json_schema!({ "type": "string", "format": $kind, "pattern": format!("{pattern}|[$][{{]") }),
                }
            }
        })+
    };
}

const NAME: &str = "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$";

formats! {
    /// See [`Millis`].
    Duration "duration-text" "^[0-9]+([.][0-9]+)? ?(ms|s|m|h|d)$", read::<Millis>;
    /// See [`SlotLength`].
    Slot "slot-length" "^[0-9]+([.][0-9]+)? ?(ms|s|m|h|d)$", |t| {
        let length = t.parse::<Millis>().map_err(|e| e.to_string())?;
        SlotLength::new(length).map(drop).map_err(|e| e.to_string())
    };
    /// See [`Ratio`].
    Share "share" "^([0-9]+%|[0-9]+/[0-9]+)$", read::<Ratio>;
    /// See [`Region`]; one name stands for the public target of an endpoint and is taken.
    RegionName "region-name" NAME, |t| match t {
        "public" => Err("a region cannot be named public: target ids use that word for the public name".into()),
        _ => read::<Region>(t),
    };
    /// See [`Zone`].
    ZoneName "zone-name" NAME, read::<Zone>;
    /// See [`AgentId`].
    AgentName "agent-name" NAME, read::<AgentId>;
    /// See [`ServiceId`].
    ServiceName "service-name" NAME, read::<ServiceId>;
    /// See [`EndpointName`].
    Endpoint "endpoint-name" NAME, read::<EndpointName>;
    /// See [`PartnerId`].
    PartnerName "partner-name" NAME, read::<PartnerId>;
    /// See [`ControlId`].
    ControlName "control-name" NAME, read::<ControlId>;
    /// See [`ShadowName`].
    Shadow "shadow-name" NAME, read::<ShadowName>;
    /// Region and zone, written `NL/1`.
    Place "place" "^[^/]+/[^/]+$", |t| place(t).map(drop);
    /// See [`StatusRange`].
    Status "status-range" "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$", |t| StatusRange::try_from(t.to_owned()).map(drop);
    /// A regular expression of the `regex` crate.
    Pattern "rust-regex" "", |t| match regex::Regex::new(t) {
        Ok(_) => Ok(()),
        Err(error) => {
            let why = error.to_string();
            let last = why.lines().last().unwrap_or_default().trim();
            Err(format!("{t:?} is not a regular expression: {}", last.strip_prefix("error: ").unwrap_or(last)))
        }
    };
    /// RFC 6901.
    Pointer "json-pointer-text" "^(/.*)?$", |t| match t.is_empty() || t.starts_with('/') {
        true => Ok(()),
        false => Err(format!("{t:?} is not a JSON pointer: begin with a slash, or leave it empty for the whole document")),
    };
    /// `ip:port`.
    SocketAddress "ip-and-port" "", |t| match t.parse::<std::net::SocketAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{t:?} is not an address with port: write 192.0.2.1:53 or [2001:db8::1]:53")),
    };
    /// `ip/length`.
    Network "network" "^[0-9a-fA-F.:]+/[0-9]+$", network;
    /// A method of HTTP.
    Method "http-method" "^[A-Za-z-]+$", |t| match http::Method::from_bytes(t.as_bytes()) {
        Ok(_) if t.len() <= 32 => Ok(()),
        _ => Err(format!("{t:?} is not an HTTP method: write GET, HEAD, POST or another")),
    };
    /// The name of a header.
    HeaderName "http-header-name" "", header_name;
    /// The name of a header that a plan may send.
    SentHeader "http-header-name-sent" "", sent_header;
    /// A header value.
    HeaderText "http-header-value" "", |t| match http::HeaderValue::from_str(t) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{t:?} cannot stand in a header: no control characters")),
    };
    /// A moment: RFC 3339, or local time.
    Moment "moment" "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]", |t| match is_moment(t) {
        true => Ok(()),
        false => Err(format!("{t:?} is not a moment: write 2026-03-02T22:00:00Z, 2026-03-02T23:00+01:00, or local time without an offset")),
    };
    /// A day.
    Day "date" "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", |t| match t.parse::<jiff::civil::Date>() {
        Ok(_) if t.len() == 10 => Ok(()),
        _ => Err(format!("{t:?} is not a day: write 2026-03-02")),
    };
    /// A name of the time zone database.
    TimeZone "time-zone" "", |t| match jiff::tz::TimeZoneDatabase::bundled().get(t) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{t:?} is not a time zone: write a name such as Europe/Amsterdam or UTC")),
    };
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|e| e.to_string())
}

/// Reads `NL/1`.
pub(super) fn place(text: &str) -> Result<Vantage, String> {
    let bad = || format!("{text:?} is not a place: write region and zone as NL/1");
    let (region, zone) = text.split_once('/').ok_or_else(bad)?;
    let region = Region::new(region).map_err(|e| e.to_string())?;
    Ok(Vantage { region, zone: Zone::new(zone).map_err(|e| e.to_string())? })
}

fn is_moment(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok() || (text.len() > 10 && text.parse::<jiff::civil::DateTime>().is_ok())
}

fn network(text: &str) -> Result<(), String> {
    let bad = || format!("{text:?} is not a network: write 10.1.0.0/16 or 2001:db8::/32");
    let (ip, length) = text.split_once('/').ok_or_else(bad)?;
    let max = if ip.parse::<std::net::IpAddr>().map_err(|_| bad())?.is_ipv4() { 32 } else { 128 };
    match length.parse::<u8>() {
        Ok(length) if length <= max => Ok(()),
        _ => Err(bad()),
    }
}

fn header_name(text: &str) -> Result<(), String> {
    match http::HeaderName::from_bytes(text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{text:?} is not a header name")),
    }
}

/// The prober counts and frames for itself.
fn sent_header(text: &str) -> Result<(), String> {
    const OURS: [&str; 6] = ["connection", "content-length", "te", "traceparent", "transfer-encoding", "upgrade"];
    match OURS.iter().any(|ours| text.eq_ignore_ascii_case(ours)) {
        true => Err(format!("the prober sets header {text:?} by itself; leave it out")),
        false => header_name(text),
    }
}

macro_rules! schema_of {
    ($($type:ty => $format:ident, $description:literal;)+) => {
        $(impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let mut schema = text::$format::json_schema(generator);
                schema.insert("description".into(), $description.into());
                schema
            }
        })+
    };
}

schema_of! {
    Millis => Duration, "A length of time, such as 250ms, 10s, 5m, 24h or 14d.";
    SlotLength => Slot, "A length of time from 100ms to 1h.";
    Ratio => Share, "A share: a percentage from 0% to 100%, or a fraction such as 1/3.";
    StatusRange => Status, "A status such as 200, or a range such as 200-299.";
    Region => RegionName, "Name of a region.";
    AgentId => AgentName, "Name of an agent, as in its certificate.";
    ServiceId => ServiceName, "Name of a service.";
    EndpointName => Endpoint, "Name of an endpoint.";
    PartnerId => PartnerName, "Name of a chain partner.";
    ShadowName => Shadow, "Name of a shadow policy.";
    ControlId => ControlName, "Name of a control.";
}

impl JsonSchema for Zone {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Zone".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = text::ZoneName::json_schema(generator);
        // Zones are often numbers; an editor must not ask for quotes.
        schema.insert("type".into(), serde_json::json!(["string", "integer"]));
        schema.insert("description".into(), "Name of a zone.".into());
        schema
    }
}
