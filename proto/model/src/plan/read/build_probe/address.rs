//! Is this an address that a probe can be aimed at?

use std::net::IpAddr;

/// An absolute URL of http or https.
pub(super) fn check_url(url: &str) -> Result<(), String> {
    let bad = |why: &str| Err(format!("{url:?} is not a URL to probe: {why}"));
    let uri = match url.parse::<http::Uri>() {
        Ok(uri) => uri,
        Err(error) => return bad(&error.to_string()),
    };
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) => {
            if authority.as_str().contains('@') {
                return bad("a user does not belong in it, use header_files for credentials");
            }
            let port = authority.as_str().strip_prefix(authority.host()).and_then(|p| p.strip_prefix(':'));
            if port.is_some_and(|p| p.parse::<u16>().is_ok_and(|p| p > 0) != is_digits(p) || !is_digits(p)) {
                return bad("the port must be 1 to 65535");
            }
            if is_host(authority.host()) { Ok(()) } else { bad("its host is not a host name or IP address") }
        }
        _ => bad("it must begin with http:// or https:// and name a host"),
    }
}

/// The same without a path.
pub(super) fn check_grpc_url(url: &str) -> Result<(), String> {
    check_url(url)?;
    match url.split_once("://").map(|(_, rest)| rest.trim_end_matches('/').contains(['/', '?', '#'])) {
        Some(false) => Ok(()),
        _ => Err(format!("{url:?} has a path, expected http://host:port or https://host:port")),
    }
}

/// `host:port`, with an IPv6 address in brackets.
pub(super) fn check_host_port(address: &str) -> Result<(), String> {
    let good = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| is_host(host) && is_digits(port) && port.parse::<u16>().is_ok_and(|port| port > 0));
    match good {
        true => Ok(()),
        false => Err(format!("{address:?} is not host:port, such as mail.example:25 or [2001:db8::1]:25")),
    }
}

/// A name or an address; IPv6 may stand in brackets.
pub(super) fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) => inner.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()),
        None => host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()) || is_dns_name(host),
    }
}

/// Labels of letters, digits, `-` and `_`, at most 63 long and 253 together; a dot at the end is allowed.
pub(super) fn is_dns_name(name: &str) -> bool {
    let inner = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    inner.len() <= 253 && inner.split('.').all(label)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_texts() {
        for good in ["https://a.example", "http://127.0.0.1:8080/x?y=z", "https://[::1]:443/", "http://localhost/"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "/x",
            "ftp://a/",
            "http://",
            "https://u:p@a/",
            "http://a:0/",
            "http://a:99999/",
            "http://a:/",
            "http://a b/",
            "http://-a/",
        ] {
            assert!(check_url(bad).is_err(), "{bad:?}");
        }
        assert_eq!(check_grpc_url("https://a:1/"), Ok(()));
        assert!(check_grpc_url("https://a:1/x").is_err());
        for good in ["a:1", "a.example:25", "[::1]:53", "10.0.0.1:65535"] {
            assert_eq!(check_host_port(good), Ok(()), "{good}");
        }
        for bad in ["a", "a:", ":1", "a:0", "a:65536", "::1:53", "[a]:1", "a:+1", "http://a:1"] {
            assert!(check_host_port(bad).is_err(), "{bad:?}");
        }
        for bad in ["", ".", "a..b", "-a", "a b", &"a".repeat(64), "é"] {
            assert!(!is_dns_name(bad), "{bad:?}");
        }
    }
}
