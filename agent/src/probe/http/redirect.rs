//! Where does a redirect lead?
//!
//! A `Location` is a reference relative to the request (RFC 3986, section 5). Only `http` and `https` can follow.

use http::{StatusCode, Uri};

/// Statuses that send a client elsewhere; the other 3xx are answers.
pub(super) const fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The absolute URL that `location` means in a response to a request for `base`.
pub(super) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.trim().split('#').next().unwrap_or_default();
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    if has_scheme(location) {
        return location.parse().ok();
    }
    if location.starts_with("//") {
        return format!("{scheme}:{location}").parse().ok();
    }
    let (path, query) = match location.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None if location.is_empty() => ("", base.query().map(|q| format!("?{q}")).unwrap_or_default()),
        None => (location, String::new()),
    };
    let path = match path {
        "" => base.path().to_owned(),
        path if path.starts_with('/') => without_dots(path),
        path => without_dots(&format!("{}{path}", folder_of(base.path()))),
    };
    format!("{scheme}://{authority}{path}{query}").parse().ok()
}

fn has_scheme(location: &str) -> bool {
    location.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    })
}

/// A path up to and with its last slash.
fn folder_of(path: &str) -> &str {
    &path[..=path.rfind('/').unwrap_or(0).min(path.len().saturating_sub(1))]
}

/// Takes `.` and `..` out of an absolute path.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (i, segment) in segments.iter().enumerate() {
        let last = i + 1 == segments.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_resolve_as_the_standard_says() {
        let base: Uri = "http://a.test/b/c/d?q".parse().unwrap();
        for (location, expected) in [
            ("https://x.test/y", Some("https://x.test/y")),
            ("//x.test/y", Some("http://x.test/y")),
            ("g", Some("http://a.test/b/c/g")),
            ("./g", Some("http://a.test/b/c/g")),
            ("g/", Some("http://a.test/b/c/g/")),
            ("/g", Some("http://a.test/g")),
            ("?y", Some("http://a.test/b/c/d?y")),
            ("g?y#s", Some("http://a.test/b/c/g?y")),
            ("", Some("http://a.test/b/c/d?q")),
            (".", Some("http://a.test/b/c/")),
            ("..", Some("http://a.test/b/")),
            ("../../../g", Some("http://a.test/g")),
            ("g;x=1/../y", Some("http://a.test/b/c/y")),
            ("ftp://x.test/", Some("ftp://x.test/")),
            ("http://[bad", None),
        ] {
            let found = resolve(&base, location).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_location_makes_it_panic(location in ".{0,60}", base in "/[a-z./]{0,12}") {
            let base: Uri = format!("http://a.test{base}").parse().unwrap();
            let _ = resolve(&base, &location);
        }
    }
}
