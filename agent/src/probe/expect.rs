//! Is a complete answer the right one?
//!
//! Checks run after the clock of the attempt stopped, in the order in which a reader would look: status, headers,
//! body, certificate. The first that fails decides the fault.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use regex::bytes::Regex;
use uitwijk_model::plan::{BodyExpectation, Expectation, HeaderExpectation, JsonExpectation, StatusRange};
use uitwijk_model::{Fault, Millis, WallTime};

use super::ProberError;
use super::failure::Failure;
use super::http::Response;
use super::patterns::Patterns;

/// The expectations of a plan, compiled.
#[derive(Debug)]
pub(crate) struct Expected {
    status: Vec<StatusRange>,
    headers: Vec<HeaderCheck>,
    body: Vec<BodyCheck>,
}

#[derive(Debug)]
struct HeaderCheck {
    name: HeaderName,
    matches: Option<Arc<Regex>>,
    absent: bool,
}

#[derive(Debug)]
enum BodyCheck {
    Contains(Arc<Regex>),
    NotContains(Arc<Regex>),
    Matches(Arc<Regex>),
    Json(JsonExpectation),
}

impl Expected {
    /// Compiles what the plan says.
    pub(crate) fn new(expect: &Expectation, patterns: &Patterns) -> Result<Self, ProberError> {
        let any_success = vec![StatusRange { first: 200, last: 299 }];
        let status = if expect.status.is_empty() { any_success } else { expect.status.clone() };
        let headers = expect.headers.iter().map(|h| HeaderCheck::new(h, patterns)).collect::<Result<_, _>>()?;
        let body = expect.body.iter().map(|b| BodyCheck::new(b, patterns)).collect::<Result<_, _>>()?;
        Ok(Self { status, headers, body })
    }

    /// Whether the body will be looked at.
    pub(crate) fn wants_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// Checks a response.
    pub(crate) fn check(&self, response: &Response) -> Result<(), Failure> {
        let status = response.status.as_u16();
        if !self.status.iter().any(|range| (range.first..=range.last).contains(&status)) {
            return Err(Failure::down(Fault::HttpStatus, format!("status {status} is not expected")));
        }
        self.headers.iter().try_for_each(|check| check.check(&response.headers))?;
        self.body.iter().try_for_each(|check| check.check(&response.body))
    }
}

impl HeaderCheck {
    fn new(expect: &HeaderExpectation, patterns: &Patterns) -> Result<Self, ProberError> {
        let bad = |_| ProberError {
            key: "expect.headers.name",
            found: expect.name.clone(),
            allowed: "the name of an HTTP header",
        };
        let name = HeaderName::from_bytes(expect.name.as_bytes()).map_err(bad)?;
        let matches = expect.matches.as_deref().map(|p| patterns.get("expect.headers.matches", p)).transpose()?;
        Ok(Self { name, matches, absent: expect.absent })
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let mut values = headers.get_all(&self.name).iter();
        let found = values.any(|value| self.matches.as_ref().is_none_or(|regex| regex.is_match(value.as_bytes())));
        if found == self.absent {
            let problem = if found { "is there and should not be" } else { "is missing or does not match" };
            return Err(Failure::down(Fault::HttpHeader, format!("header {} {problem}", self.name)));
        }
        Ok(())
    }
}

impl BodyCheck {
    fn new(expect: &BodyExpectation, patterns: &Patterns) -> Result<Self, ProberError> {
        // A search for a text is an expression too: it is linear, and takes bodies that are not text.
        let literal = |text: &str| patterns.get("expect.body", &regex::escape(text));
        Ok(match expect {
            BodyExpectation::Contains(text) => Self::Contains(literal(text)?),
            BodyExpectation::NotContains(text) => Self::NotContains(literal(text)?),
            BodyExpectation::Matches(pattern) => Self::Matches(patterns.get("expect.body.matches", pattern)?),
            BodyExpectation::Json(json) => Self::Json(json.clone()),
        })
    }

    fn check(&self, body: &[u8]) -> Result<(), Failure> {
        let (right, wanted) = match self {
            Self::Contains(regex) | Self::Matches(regex) => {
                (regex.is_match(body), format!("does not match {:?}", regex.as_str()))
            }
            Self::NotContains(regex) => (!regex.is_match(body), format!("matches {:?}", regex.as_str())),
            Self::Json(json) => (json_holds(body, json), format!("is not JSON as expected at {:?}", json.pointer)),
        };
        if right { Ok(()) } else { Err(Failure::down(Fault::WrongBody, format!("body {wanted}"))) }
    }
}

fn json_holds(body: &[u8], expect: &JsonExpectation) -> bool {
    let document = serde_json::from_slice::<serde_json::Value>(body).ok();
    let value = document.as_ref().and_then(|d| d.pointer(&expect.pointer));
    value.is_some_and(|value| expect.equals.as_ref().is_none_or(|equals| same_json(value, equals)))
}

/// Equal as JSON: `1` and `1.0` are one number, however they were written.
fn same_json(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a.to_bits() == b.to_bits())
}

/// Whether the certificate is valid long enough. Too short a time left is the same fault as none left: the plan says
/// when a certificate counts as expired.
pub(crate) fn check_certificate(
    expires: Option<WallTime>,
    days_min: Option<u32>,
    now: WallTime,
) -> Result<(), Failure> {
    let (Some(expires), Some(days)) = (expires, days_min) else { return Ok(()) };
    if expires >= now.plus(Millis::from_secs(u64::from(days) * 86_400)) {
        return Ok(());
    }
    Err(Failure::down(
        Fault::TlsCertificateExpired,
        format!("the certificate expires at {expires}, within {days} days"),
    ))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;

    fn check(expect: serde_json::Value, status: u16, body: &str, fault: &str) {
        let shown = expect.to_string();
        let expect: Expectation = serde_json::from_value(expect).unwrap();
        let expected = Expected::new(&expect, &Patterns::default()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("server", "one".parse().unwrap());
        headers.append("server", "two".parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let response = Response { status, headers, body: body.as_bytes().to_vec(), trailers: HeaderMap::new() };
        let found = expected.check(&response).err().map_or("", |f| f.outcome.reason());
        assert_eq!(found, fault, "{shown} {status} {body}");
    }

    #[test]
    fn statuses() {
        check(json!({}), 204, "", "");
        check(json!({}), 304, "", "http_status");
        check(json!({"status": ["200", "401-403"]}), 402, "", "");
        check(json!({"status": ["200", "401-403"]}), 404, "", "http_status");
    }

    #[test]
    fn headers() {
        let header = |name: &str, matches: Option<&str>, absent: bool| json!({"headers": [{"name": name, "matches": matches, "absent": absent}]});
        check(header("server", None, false), 200, "", "");
        check(header("server", Some("^tw"), false), 200, "", "");
        check(header("server", Some("^x"), false), 200, "", "http_header");
        check(header("x-missing", None, false), 200, "", "http_header");
        check(header("x-missing", None, true), 200, "", "");
        check(header("server", None, true), 200, "", "http_header");
        check(header("server", Some("^x"), true), 200, "", "");
        check(header("server", Some("two"), true), 200, "", "http_header");
    }

    #[test]
    fn bodies() {
        let body = |check: serde_json::Value| json!({ "body": [check] });
        let json_at =
            |pointer: &str, equals: serde_json::Value| body(json!({"json": {"pointer": pointer, "equals": equals}}));
        check(body(json!({"contains": "ell"})), 200, "hello", "");
        check(body(json!({"contains": "elk"})), 200, "hello", "wrong_body");
        check(body(json!({"not_contains": "ell"})), 200, "hello", "wrong_body");
        check(body(json!({"matches": "^h.*o$"})), 200, "hello", "");
        check(body(json!({"matches": "^x"})), 200, "hello", "wrong_body");
        check(json_at("/a/0", json!(1.0)), 200, r#"{"a":[1]}"#, "");
        check(json_at("/a/0", json!("x")), 200, r#"{"a":[1]}"#, "wrong_body");
        check(json_at("/b", json!(null)), 200, r#"{"a":[1]}"#, "wrong_body");
        check(json_at("/a", json!(1)), 200, "not json", "wrong_body");
    }

    #[test]
    fn a_body_that_is_not_text_is_searched_all_the_same() {
        let check = |body: &[u8], text: &str| {
            let expect = BodyExpectation::Contains(text.to_owned());
            BodyCheck::new(&expect, &Patterns::default()).unwrap().check(body).is_ok()
        };
        assert!(check(&[0xff, b'o', b'.', b'k', 0xfe], "o.k"));
        assert!(!check(&[0xff, b'o', b'x', b'k'], "o.k"), "a dot is a dot");
        assert!(check(b"", ""));
    }

    #[test]
    fn a_certificate_must_last_as_long_as_the_plan_says() {
        let now = WallTime::default();
        let in_days = |days: u64| Some(now.plus(Millis::from_secs(days * 86_400)));
        assert!(check_certificate(in_days(14), Some(14), now).is_ok());
        assert!(check_certificate(None, Some(14), now).is_ok());
        assert!(check_certificate(in_days(13), None, now).is_ok());
        let failure = check_certificate(in_days(13), Some(14), now).unwrap_err();
        assert_eq!(failure.outcome.reason(), "tls_certificate_expired");
    }
}
