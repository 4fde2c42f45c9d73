//! What exactly is asked?
//!
//! A [`Template`] is what the plan says, checked once. A [`Request`] is what one attempt sends, secrets included. When a
//! redirect leads to another origin, everything that the plan meant for the first one stays behind: headers from secret
//! files, credentials, cookies and a chosen `Host`.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::Full;
use uitwijk_model::plan::{HttpProbe, SecretText};

use super::path_of;
use crate::probe::ProberError;
use crate::probe::failure::Failure;
use crate::probe::net::address::Origin;
use crate::probe::secret;

/// The request of a plan.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) origin: Origin,
    path: Arc<str>,
    method: Method,
    headers: Vec<(HeaderName, SecretText)>,
    body: Option<SecretText>,
}

impl Template {
    pub(super) fn new(probe: &HttpProbe) -> Result<Self, ProberError> {
        let bad = |key, found: &str, allowed| ProberError { key, found: found.to_owned(), allowed };
        let uri: Uri = probe.url.parse().map_err(|_| bad("url", &probe.url, "an absolute http:// or https:// URL"))?;
        let origin = Origin::of(&uri).ok_or_else(|| bad("url", &probe.url, "an absolute http:// or https:// URL"))?;
        let method = Method::from_bytes(probe.method.as_bytes())
            .map_err(|_| bad("method", &probe.method, "an HTTP method, such as GET"))?;
        let name = |name: &String| {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("headers", name, "the name of an HTTP header"))
        };
        let headers: Result<Vec<_>, _> =
            probe.headers.iter().map(|(key, value)| Ok((name(key)?, value.clone()))).collect();
        Ok(Self { origin, path: path_of(&uri), method, headers: headers?, body: probe.body.clone() })
    }

    /// The request of one attempt.
    pub(super) fn render(&self, user_agent: &HeaderValue, traceparent: &str) -> Result<Request, Failure> {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 3);
        headers.insert(header::USER_AGENT, user_agent.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        if let Ok(value) = HeaderValue::from_str(traceparent) {
            headers.insert("traceparent", value);
        }
        let mut bound = vec![header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, header::HOST];
        for (name, text) in &self.headers {
            let what = format!("header {name}");
            let value = HeaderValue::from_str(&secret::read(&what, text)?)
                .map_err(|_| Failure::local(format!("{what}: its value has characters that a header cannot have")))?;
            headers.insert(name, value);
            if secret::is_secret(text) {
                bound.push(name.clone());
            }
        }
        let body = match &self.body {
            Some(text) => Bytes::from(secret::read("body", text)?.into_owned()),
            None => Bytes::new(),
        };
        let (origin, path, method) = (self.origin.clone(), Arc::clone(&self.path), self.method.clone());
        Ok(Request { origin, path, method, headers, bound: bound.into(), body })
    }
}

/// A request of one attempt.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) origin: Origin,
    path: Arc<str>,
    method: Method,
    headers: HeaderMap,
    /// Headers that are for this origin only.
    bound: Arc<[HeaderName]>,
    body: Bytes,
}

impl Request {
    /// The absolute URL.
    pub(super) fn uri(&self) -> Uri {
        let built = Uri::builder()
            .scheme(self.origin.scheme())
            .authority(self.origin.authority())
            .path_and_query(&*self.path)
            .build();
        built.unwrap_or_default()
    }

    /// The request that follows a redirect.
    pub(super) fn redirected(&self, status: StatusCode, uri: &Uri, origin: Origin) -> Self {
        let mut next = Self { path: path_of(uri), ..self.clone() };
        if origin != self.origin {
            for name in self.bound.iter() {
                next.headers.remove(name);
            }
        }
        next.origin = origin;
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.headers.remove(header::CONTENT_TYPE);
        }
        next
    }

    /// The message to send: HTTP/1.1 names the host in a header, HTTP/2 in the URL.
    pub(super) fn message(&self, http2: bool) -> Result<http::Request<Full<Bytes>>, Failure> {
        let mut headers = self.headers.clone();
        let host = headers.remove(header::HOST);
        let host = match host.as_ref().and_then(|h| h.to_str().ok()) {
            Some(host) => host.to_owned(),
            None => self.origin.authority(),
        };
        let unusable = |e: http::Error| Failure::local(format!("header host: {host:?}: {e}"));
        let uri = if http2 {
            let url = Uri::builder().scheme(self.origin.scheme()).authority(host.as_str()).path_and_query(&*self.path);
            url.build().map_err(unusable)?
        } else {
            let value = HeaderValue::from_str(&host).map_err(|e| unusable(e.into()))?;
            headers.insert(header::HOST, value);
            Uri::builder().path_and_query(&*self.path).build().map_err(unusable)?
        };
        let mut message = http::Request::new(Full::new(self.body.clone()));
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = uri;
        *message.headers_mut() = headers;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uitwijk_model::plan::{Expectation, HttpVersion};

    use super::*;

    fn probe(url: &str) -> HttpProbe {
        HttpProbe {
            url: url.to_owned(),
            method: "POST".to_owned(),
            headers: BTreeMap::from([
                ("authorization".to_owned(), SecretText::Plain("Bearer x".to_owned())),
                ("content-type".to_owned(), SecretText::Plain("text/plain".to_owned())),
                ("x-mine".to_owned(), SecretText::Plain("1".to_owned())),
            ]),
            body: Some(SecretText::Plain("hello".to_owned())),
            version: HttpVersion::Auto,
            redirects_max: 5,
            body_bytes_max: 1024,
            expect: Expectation::default(),
        }
    }

    fn request(url: &str) -> Request {
        Template::new(&probe(url)).unwrap().render(&HeaderValue::from_static("ua"), "00-1-2-00").unwrap()
    }

    fn redirected(status: u16, to: &str) -> Request {
        let uri: Uri = to.parse().unwrap();
        let origin = Origin::of(&uri).unwrap();
        request("https://a.test/x").redirected(StatusCode::from_u16(status).unwrap(), &uri, origin)
    }

    #[test]
    fn a_request_names_its_host_where_the_version_wants_it() {
        let request = request("https://a.test:8443/x?y=1");
        let old = request.message(false).unwrap();
        assert_eq!(
            (old.uri().to_string().as_str(), &old.headers()["host"]),
            ("/x?y=1", &"a.test:8443".parse().unwrap())
        );
        assert_eq!(old.headers()["user-agent"], "ua");
        assert_eq!(old.headers()["traceparent"], "00-1-2-00");
        let new = request.message(true).unwrap();
        assert_eq!(new.uri().to_string(), "https://a.test:8443/x?y=1");
        assert!(!new.headers().contains_key("host"));
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        let same = redirected(307, "https://a.test/elsewhere");
        assert!(same.headers.contains_key("authorization"));
        for other in ["https://b.test/", "http://a.test/", "https://a.test:444/"] {
            let other = redirected(307, other);
            assert!(!other.headers.contains_key("authorization") && other.headers.contains_key("x-mine"));
        }
    }

    #[test]
    fn a_post_becomes_a_get_where_the_status_says_so() {
        for (status, method, body) in [(301, "GET", ""), (302, "GET", ""), (303, "GET", ""), (307, "POST", "hello")] {
            let next = redirected(status, "https://a.test/y");
            assert_eq!((next.method.as_str(), &next.body[..]), (method, body.as_bytes()), "{status}");
        }
    }

    #[test]
    fn a_bad_plan_is_refused_by_key() {
        for (url, method, key) in
            [("a.test/x", "GET", "url"), ("ftp://a.test", "GET", "url"), ("http://a.test", "G T", "method")]
        {
            let probe = HttpProbe { method: method.to_owned(), ..probe(url) };
            assert_eq!(Template::new(&probe).unwrap_err().key, key);
        }
    }
}
