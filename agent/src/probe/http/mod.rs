//! How is a request made over HTTP, and where does it lead?
//!
//! ```text
//!   request.rs (headers, secrets) -> dial (name, connection, TLS) -> exchange.rs (HTTP/1.1 or 2) -> answer
//!        ^                                                              |
//!        +------------------- redirect.rs <-- 3xx, Location ------------+
//! ```
//!
//! Each hop is a request of its own on a fresh connection: it goes through lookup, connection and handshake again. The
//! phases are those of the final response, the hops before it are listed, and the total spans all.

use std::sync::Arc;

use http::{HeaderMap, StatusCode, Uri, header};
use uitwijk_model::plan::HttpProbe;
use uitwijk_model::{Fault, plan};

use super::ProberError;
use super::dial::Dialer;
use super::env::ProberEnv;
use super::failure::Failure;
use super::net::address::{Address, Origin};
use super::trail::Trail;

pub(crate) mod exchange;
mod redirect;
mod request;

use exchange::Limits;
use request::{Request, Template};

/// A complete response.
#[derive(Debug)]
pub(crate) struct Response {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body, when somebody wants to look at it.
    pub(crate) body: Vec<u8>,
    /// What follows a body, in HTTP/2 and chunked HTTP/1.1.
    pub(crate) trailers: HeaderMap,
}

/// A probe over HTTP, checked and ready.
#[derive(Debug)]
pub(crate) struct HttpTarget {
    template: Template,
    version: plan::HttpVersion,
    redirects_max: usize,
    limits: Limits,
}

impl HttpTarget {
    /// Checks what the plan says.
    pub(crate) fn new(probe: &HttpProbe, keep_body: bool) -> Result<Self, ProberError> {
        Ok(Self {
            template: Template::new(probe)?,
            version: probe.version,
            redirects_max: probe.redirects_max.into(),
            limits: Limits { body_bytes_max: probe.body_bytes_max as usize, keep_body },
        })
    }

    /// The address that the plan names.
    pub(crate) const fn address(&self) -> &Address {
        &self.template.origin.address
    }

    /// Makes the request and follows redirects.
    pub(crate) async fn fetch(
        &self,
        env: &ProberEnv,
        dialer: &Dialer,
        trail: &Trail,
        traceparent: &str,
    ) -> Result<Response, Failure> {
        let mut request = self.template.render(env.user_agent(), traceparent)?;
        loop {
            let response = self.hop(env, dialer, trail, &request).await?;
            let Some(next) = self.next(&request, &response, trail)? else { return Ok(response) };
            trail.redirected(response.status.as_u16());
            request = next;
        }
    }

    async fn hop(
        &self,
        env: &ProberEnv,
        dialer: &Dialer,
        trail: &Trail,
        request: &Request,
    ) -> Result<Response, Failure> {
        let alpn: &[&[u8]] = match self.version {
            plan::HttpVersion::Auto => &[b"h2", b"http/1.1"],
            plan::HttpVersion::Http11 => &[b"http/1.1"],
            plan::HttpVersion::Http2 => &[b"h2"],
        };
        let dialed = dialer.dial(env, &request.origin, alpn, trail).await?;
        let http2 = match (request.origin.secure, dialed.link.alpn()) {
            (true, Some(b"h2")) => true,
            (true, _) if self.version == plan::HttpVersion::Http2 => {
                return Err(Failure::down(Fault::Protocol, "the server did not agree to HTTP/2"));
            }
            (true, _) => false,
            (false, _) => self.version == plan::HttpVersion::Http2,
        };
        let message = request.message(http2)?;
        exchange::exchange(dialed, http2, message, self.limits, trail).await
    }

    /// The request that a redirect asks for, if it is one to follow.
    fn next(&self, request: &Request, response: &Response, trail: &Trail) -> Result<Option<Request>, Failure> {
        if self.redirects_max == 0 || !redirect::is_redirect(response.status) {
            return Ok(None);
        }
        let fail = |detail: String| Failure::down(Fault::Redirect, detail);
        let followed = trail.facts().hops.len();
        if followed >= self.redirects_max {
            return Err(fail(format!("redirected more than {} times", self.redirects_max)));
        }
        let location = response.headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
        let location = location.ok_or_else(|| fail(format!("{} without a location", response.status)))?;
        let target = redirect::resolve(&request.uri(), location);
        let target = target.and_then(|uri| Origin::of(&uri).map(|origin| (uri, origin)));
        let (uri, origin) = target.ok_or_else(|| fail(format!("cannot follow a redirect to {location:?}")))?;
        Ok(Some(request.redirected(response.status, &uri, origin)))
    }
}

/// Path and query of a URL, `/` when it has none.
fn path_of(uri: &Uri) -> Arc<str> {
    uri.path_and_query().map_or("/", |p| if p.as_str().is_empty() { "/" } else { p.as_str() }).into()
}
