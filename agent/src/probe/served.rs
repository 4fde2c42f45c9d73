//! Which region and zone served an answer?
//!
//! ```text
//!   region header -> JSON pointer -> address range -> nobody said
//! ```
//!
//! The first source that names a region of the plan counts; its zone comes from the same source. A name in other case
//! becomes the plan's spelling, and a name that the plan does not know is no answer: the judge could do nothing with
//! it, and a stranger's header must not invent places.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use uitwijk_model::plan::{ServedFrom, ServedPlace};
use uitwijk_model::{Region, ServedBy, Zone};

use super::ProberError;

/// The regions and zones of a plan.
#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<Region, BTreeSet<Zone>>);

impl Places {
    /// Those of a plan.
    pub(crate) fn new(regions: &BTreeMap<Region, BTreeSet<Zone>>) -> Self {
        Self(regions.clone())
    }

    fn find(&self, region: &str, zone: Option<&str>) -> Option<ServedBy> {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b.trim());
        let (region, zones) = self.0.iter().find(|(known, _)| same(known.as_str(), region))?;
        let zone = zone.and_then(|zone| zones.iter().find(|known| same(known.as_str(), zone)).cloned());
        Some(ServedBy { region: region.clone(), zone })
    }
}

/// Where to look, compiled.
#[derive(Debug, Default)]
pub(crate) struct ServedRule {
    region_header: Option<HeaderName>,
    zone_header: Option<HeaderName>,
    region_json: Option<String>,
    zone_json: Option<String>,
    /// Longest prefix first.
    networks: Vec<(Network, ServedPlace)>,
}

/// What an answer may tell.
#[derive(Default)]
pub(crate) struct Clues<'a> {
    /// Headers of the final response.
    pub(crate) headers: Option<&'a HeaderMap>,
    /// Its body.
    pub(crate) body: &'a [u8],
    /// Addresses that it came from, or that it consists of.
    pub(crate) addresses: &'a [IpAddr],
}

impl ServedRule {
    /// Compiles what the plan says.
    pub(crate) fn new(from: Option<&ServedFrom>) -> Result<Self, ProberError> {
        let Some(from) = from else { return Ok(Self::default()) };
        let header = |key, name: &Option<String>| {
            let name = name.as_ref().map(|n| (n, HeaderName::from_bytes(n.as_bytes())));
            name.map(|(n, parsed)| {
                parsed.map_err(|_| ProberError { key, found: n.clone(), allowed: "the name of an HTTP header" })
            })
            .transpose()
        };
        let mut networks = Vec::new();
        for (text, place) in &from.addresses {
            let network = Network::parse(text).ok_or_else(|| ProberError {
                key: "served.addresses",
                found: text.clone(),
                allowed: "a network, such as 10.1.0.0/16",
            })?;
            networks.push((network, place.clone()));
        }
        networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix));
        Ok(Self {
            region_header: header("served.region_header", &from.region_header)?,
            zone_header: header("served.zone_header", &from.zone_header)?,
            region_json: from.region_json.clone(),
            zone_json: from.zone_json.clone(),
            networks,
        })
    }

    /// Whether the body will be looked at.
    pub(crate) const fn wants_body(&self) -> bool {
        self.region_json.is_some()
    }

    /// Who served, as far as the clues tell.
    pub(crate) fn find(&self, clues: &Clues<'_>, places: &Places) -> Option<ServedBy> {
        self.by_header(clues, places).or_else(|| self.by_json(clues, places)).or_else(|| self.by_address(clues))
    }

    fn by_header(&self, clues: &Clues<'_>, places: &Places) -> Option<ServedBy> {
        let headers = clues.headers?;
        let value = |name: &HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
        places.find(value(self.region_header.as_ref()?)?, self.zone_header.as_ref().and_then(value))
    }

    fn by_json(&self, clues: &Clues<'_>, places: &Places) -> Option<ServedBy> {
        let pointer = self.region_json.as_deref()?;
        let document: serde_json::Value = serde_json::from_slice(clues.body).ok()?;
        let text = |pointer: &str| match document.pointer(pointer)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        places.find(&text(pointer)?, self.zone_json.as_deref().and_then(text).as_deref())
    }

    fn by_address(&self, clues: &Clues<'_>) -> Option<ServedBy> {
        let owner = |ip: &IpAddr| self.networks.iter().find(|(network, _)| network.contains(*ip));
        let (_, place) = clues.addresses.iter().find_map(owner)?;
        Some(ServedBy { region: place.region.clone(), zone: place.zone.clone() })
    }
}

/// A network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (base, prefix) = text.split_once('/')?;
        let (base, prefix) = (base.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?);
        let longest = if base.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { base, prefix })
    }

    fn contains(self, ip: IpAddr) -> bool {
        let bits = |ip: IpAddr| match ip.to_canonical() {
            IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, 4),
            IpAddr::V6(ip) => (u128::from(ip), 6),
        };
        let ((base, family), (ip, other)) = (bits(self.base), bits(ip));
        let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
        family == other && base & mask == ip & mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        let zones: BTreeSet<_> = ["1", "a"].into_iter().map(|z| Zone::new(z).unwrap()).collect();
        Places(["NL", "IE"].into_iter().map(|r| (Region::new(r).unwrap(), zones.clone())).collect())
    }

    fn rule() -> ServedRule {
        let place = |region: &str, zone: Option<&str>| ServedPlace {
            region: Region::new(region).unwrap(),
            zone: zone.map(|z| Zone::new(z).unwrap()),
        };
        ServedRule::new(Some(&ServedFrom {
            region_header: Some("x-region".to_owned()),
            zone_header: Some("x-zone".to_owned()),
            region_json: Some("/at/region".to_owned()),
            zone_json: Some("/at/zone".to_owned()),
            addresses: BTreeMap::from([
                ("10.1.0.0/16".to_owned(), place("NL", None)),
                ("10.1.2.0/24".to_owned(), place("NL", Some("1"))),
                ("fd00::/8".to_owned(), place("IE", None)),
                ("0.0.0.0/0".to_owned(), place("IE", Some("a"))),
            ]),
        }))
        .unwrap()
    }

    fn check(headers: &[(&'static str, &str)], body: &str, address: &str, expected: &str) {
        let headers: HeaderMap =
            headers.iter().map(|(k, v)| (HeaderName::from_static(k), v.parse().unwrap())).collect();
        let addresses: Vec<IpAddr> = address.parse().into_iter().collect();
        let clues = Clues { headers: Some(&headers), body: body.as_bytes(), addresses: &addresses };
        let found = rule().find(&clues, &places());
        let shown = found.map(|s| format!("{}/{}", s.region, s.zone.map_or("-".to_owned(), |z| z.to_string())));
        assert_eq!(shown.unwrap_or_default(), expected, "{headers:?} {body} {address}");
    }

    #[test]
    fn the_first_source_that_names_a_region_counts() {
        check(&[("x-region", "nl"), ("x-zone", "A")], r#"{"at":{"region":"IE"}}"#, "fd00::1", "NL/a");
        check(&[("x-region", "NL"), ("x-zone", "9")], "", "", "NL/-");
        check(&[("x-region", "Mars")], r#"{"at":{"region":"ie","zone":1}}"#, "", "IE/1");
        check(&[], r#"{"at":{"region":true}}"#, "10.1.9.9", "NL/-");
        check(&[], "no json", "10.1.2.3", "NL/1");
        check(&[], "", "::ffff:10.1.2.3", "NL/1");
        check(&[], "", "192.0.2.1", "IE/a");
        check(&[], "", "fd12::1", "IE/-");
        check(&[], "", "2001:db8::1", "");
        check(&[], "", "", "");
    }

    #[test]
    fn networks_are_checked() {
        for (text, good) in
            [("10.0.0.0/8", true), ("::/0", true), ("10.0.0.0/33", false), ("10.0.0.0", false), ("x/8", false)]
        {
            assert_eq!(Network::parse(text).is_some(), good, "{text}");
        }
    }
}
