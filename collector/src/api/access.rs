//! Who may call what?
//!
//! One table for all services, looked at before a call reaches any of them, so that a method that somebody adds later is
//! closed until it has a line here. Who the caller is comes from its certificate.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use uitwijk_identity::{PeerInfo, Role};

use crate::metrics::{ApiMetrics, CallLabels};

/// A kind of caller.
type Caller = &'static str;

const AGENT: Caller = "agent";
const COLLECTOR: Caller = "collector";
const VIEWER: Caller = "viewer";
const OPERATOR: Caller = "operator";

const EVERYBODY: &[Caller] = &[AGENT, COLLECTOR, VIEWER, OPERATOR];
const READERS: &[Caller] = &[COLLECTOR, VIEWER, OPERATOR];

/// Every method that is served, and who may call it. A measurement is made at a place, and only an agent's certificate says
/// one; so not even an operator may deliver.
const TABLE: &[(&str, &[Caller])] = &[
    ("/uitwijk.v1.Ingest/Stream", &[AGENT]),
    ("/uitwijk.v1.Fleet/WatchPlan", EVERYBODY),
    ("/uitwijk.v1.Fleet/ListAgents", READERS),
    ("/uitwijk.v1.Fleet/ListLedgers", READERS),
    ("/uitwijk.v1.Verdicts/List", READERS),
    ("/uitwijk.v1.Verdicts/Get", READERS),
    ("/uitwijk.v1.Verdicts/Watch", READERS),
    ("/uitwijk.v1.Verdicts/Timeline", READERS),
    ("/uitwijk.v1.Measurements/Query", READERS),
    ("/uitwijk.v1.Labels/Add", &[OPERATOR]),
    ("/uitwijk.v1.Labels/List", READERS),
    ("/uitwijk.v1.Policies/Backtest", &[VIEWER, OPERATOR]),
    ("/uitwijk.v1.Policies/Compare", READERS),
    ("/uitwijk.v1.Switches/Report", &[OPERATOR]),
    ("/uitwijk.v1.Switches/List", READERS),
    ("/uitwijk.v1.Backups/Take", &[COLLECTOR, OPERATOR]),
    ("/grpc.health.v1.Health/Check", EVERYBODY),
    ("/grpc.health.v1.Health/Watch", EVERYBODY),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", READERS),
];

/// The line of the table for a path.
fn rule(path: &str) -> Option<&'static (&'static str, &'static [Caller])> {
    TABLE.iter().find(|(method, _)| *method == path)
}

/// Decides about one call.
fn decide(path: &str, peer: Option<&PeerInfo>) -> Result<(), Status> {
    let Some(peer) = peer else {
        return Err(Status::unauthenticated("no client certificate: connect with mutual TLS"));
    };
    let Some((method, allowed)) = rule(path) else {
        return Err(Status::unimplemented("no such method: server reflection lists those that there are"));
    };
    let role = caller(&peer.identity.role);
    if allowed.contains(&role) {
        return Ok(());
    }
    let method = method.trim_start_matches('/');
    Err(Status::permission_denied(format!(
        "{role} {} may not call {method}: allowed for {}",
        peer.identity.name,
        allowed.join(", ")
    )))
}

fn caller(role: &Role) -> Caller {
    match role {
        Role::Agent(_) => AGENT,
        Role::Collector(_) => COLLECTOR,
        Role::Viewer => VIEWER,
        Role::Operator => OPERATOR,
    }
}

/// Puts the table in front of every service.
#[derive(Debug, Clone)]
pub struct AccessLayer {
    metrics: Arc<ApiMetrics>,
}

impl AccessLayer {
    /// Counts into these metrics.
    #[must_use]
    pub fn new(metrics: Arc<ApiMetrics>) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Access<S>;

    fn layer(&self, inner: S) -> Access<S> {
        Access { inner, metrics: self.metrics.clone() }
    }
}

/// A service behind the table.
#[derive(Debug, Clone)]
pub struct Access<S> {
    inner: S,
    metrics: Arc<ApiMetrics>,
}

impl<S, B> Service<Request<B>> for Access<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<PeerInfo>();
        let role = peer.map_or("none", |peer| caller(&peer.identity.role));
        let path = request.uri().path();
        let method = rule(path).map_or("other", |(method, _)| method.trim_start_matches('/'));
        let metrics = self.metrics.clone();
        let count = move |code| {
            metrics.calls.get_or_create(&CallLabels { method, role, code }).inc();
        };
        match decide(path, peer) {
            Ok(()) => {
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let answer = answer.await?;
                    count(name(status_of(&answer)));
                    Ok(answer)
                })
            }
            Err(status) => {
                tracing::warn!(method, role, reason = status.message(), "a call was refused");
                count(name(status.code()));
                Box::pin(async move { Ok(status.into_http()) })
            }
        }
    }
}

/// The status in the head of an answer; one that fails later says so in its trailers, which are the caller's business.
fn status_of(answer: &Response<Body>) -> Code {
    answer.headers().get("grpc-status").map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use uitwijk_identity::Identity;
    use uitwijk_model::{Region, Vantage, WallTime, Zone};

    use super::*;

    fn peer(role: Role) -> PeerInfo {
        PeerInfo {
            identity: Identity { name: "somebody".to_owned(), role },
            addr: "127.0.0.1:1".parse().unwrap(),
            certificate_expires: WallTime::from_micros(0),
            certificate_fingerprint: [0; 32],
        }
    }

    #[test]
    fn the_table_as_people_read_it() {
        let vantage = Vantage { region: Region::new("NL").unwrap(), zone: Zone::new("1").unwrap() };
        let roles = [Role::Agent(vantage), Role::Collector(Region::new("NL").unwrap()), Role::Viewer, Role::Operator];
        let mut lines = Vec::new();
        for (method, _) in TABLE {
            let may: Vec<&str> =
                roles.iter().filter(|r| decide(method, Some(&peer((*r).clone()))).is_ok()).map(caller).collect();
            lines.push(format!("{method}: {}", may.join(" ")));
        }
        let refused = decide("/uitwijk.v1.Ingest/Stream", Some(&peer(Role::Viewer))).unwrap_err();
        lines.push(format!("{:?}: {}", refused.code(), refused.message()));
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn whoever_shows_no_certificate_may_nothing() {
        for (method, _) in TABLE {
            assert_eq!(decide(method, None).unwrap_err().code(), Code::Unauthenticated, "{method}");
        }
    }

    /// A method of the schema that is missing from the table could be called by nobody.
    #[test]
    fn every_method_of_the_schema_is_in_the_table() {
        let set = prost_types::FileDescriptorSet::decode(uitwijk_proto::DESCRIPTORS).unwrap();
        let mut methods = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    methods.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        let table: BTreeSet<String> =
            TABLE.iter().map(|(method, _)| (*method).to_owned()).filter(|m| m.starts_with("/uitwijk.")).collect();
        assert_eq!(table, methods);
    }
}
