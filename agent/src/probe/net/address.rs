//! Which host and port is meant?

use std::fmt;
use std::net::IpAddr;

use http::Uri;

/// A host as a plan writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A literal address; nothing is looked up.
    Ip(IpAddr),
    /// A name to look up.
    Name(String),
}

impl Host {
    /// Takes a name or a literal address, IPv6 with or without brackets.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(ip) => Some(Self::Ip(ip)),
            Err(_) if is_name(text) => Some(Self::Name(text.to_ascii_lowercase())),
            Err(_) => None,
        }
    }
}

/// Letters, digits, `-`, `_` and dots; the resolver judges the rest.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 254
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The host.
    pub(crate) host: Host,
    /// The port.
    pub(crate) port: u16,
}

impl Address {
    /// Takes `host:port`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Self { host: Host::parse(host)?, port: port.parse().ok()? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Scheme, host and port of a URL: what a connection is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `https` rather than `http`.
    pub(crate) secure: bool,
    /// Where to connect.
    pub(crate) address: Address,
}

impl Origin {
    /// The origin of an absolute `http` or `https` URL.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let secure = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let named = uri.authority()?.as_str().rsplit('@').next()?;
        let port = match uri.port_u16() {
            Some(port) => port,
            None if named == uri.host()? => Self::default_port(secure),
            None => return None,
        };
        Some(Self { secure, address: Address { host: Host::parse(uri.host()?)?, port } })
    }

    const fn default_port(secure: bool) -> u16 {
        if secure { 443 } else { 80 }
    }

    /// The value of the `Host` header: the port only when it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        if self.address.port == Self::default_port(self.secure) {
            self.address.host.to_string()
        } else {
            self.address.to_string()
        }
    }

    /// `http` or `https`.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_names_or_literals_with_a_port() {
        for (text, shown) in [
            ("example.test:443", Some("example.test:443")),
            ("EXAMPLE.test:443", Some("example.test:443")),
            ("127.0.0.1:80", Some("127.0.0.1:80")),
            ("[::1]:80", Some("[::1]:80")),
            ("example.test", None),
            ("example.test:", None),
            ("example.test:65536", None),
            (":80", None),
            ("exa mple:80", None),
        ] {
            assert_eq!(Address::parse(text).map(|a| a.to_string()).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn an_origin_leaves_out_the_port_of_its_scheme() {
        for (url, authority) in [
            ("https://a.test/x", Some("a.test")),
            ("https://a.test:443", Some("a.test")),
            ("http://a.test:443", Some("a.test:443")),
            ("http://[::1]:8080/", Some("[::1]:8080")),
            ("http://[::1]/", Some("[::1]")),
            ("ftp://a.test/", None),
            ("/relative", None),
            ("http://a.test:99999/", None),
        ] {
            let origin = url.parse::<Uri>().ok().and_then(|uri| Origin::of(&uri));
            assert_eq!(origin.map(|o| o.authority()).as_deref(), authority, "{url}");
        }
    }
}
