//! A collector with canned answers, over real mutual TLS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::Stream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uitwijk_identity::{
    Authority, Credentials, Identity, Role, ServerCounters, ServerLimits, Validity, peer_of, server,
};
use uitwijk_model::plan::read::read_plan;
use uitwijk_model::{Clock, Elapsed, Millis, SystemClock, WallTime};
use uitwijk_proto::v1;
use uitwijk_proto::v1::fleet_server::{Fleet, FleetServer};
use uitwijk_proto::v1::labels_server::LabelsServer;
use uitwijk_proto::v1::measurements_server::{Measurements, MeasurementsServer};
use uitwijk_proto::v1::policies_server::PoliciesServer;
use uitwijk_proto::v1::switches_server::SwitchesServer;
use uitwijk_proto::v1::verdicts_server::{Verdicts, VerdictsServer};

use super::answers;
use super::canned_policies::CannedPolicies;
use super::canned_switches::CannedSwitches;

/// Half past eight on 2 March 2026.
pub(super) const NOW: WallTime = WallTime::from_millis(1_772_440_200_000);

/// Always half past eight; certificates are made for it.
#[derive(Debug)]
pub(super) struct HalfPastEight;

impl Clock for HalfPastEight {
    fn wall(&self) -> WallTime {
        NOW
    }
    fn elapsed(&self) -> Elapsed {
        SystemClock.elapsed()
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Debug, Clone, Default)]
struct Canned {
    watches: Arc<AtomicU32>,
}

fn allow<T>(request: &Request<T>) -> Result<(), Status> {
    peer_of(request)?.require("a viewer or an operator", |role| matches!(role, Role::Viewer | Role::Operator))
}

fn page<T: Clone>(all: &[T], size: u32, token: &str) -> (Vec<T>, String) {
    let from: usize = token.parse().unwrap_or(0);
    let to = (from + size as usize).min(all.len());
    let next = if to < all.len() { to.to_string() } else { String::new() };
    (all[from..to].to_vec(), next)
}

#[tonic::async_trait]
impl Fleet for Canned {
    type WatchPlanStream = Answers<v1::PlanUpdate>;
    type ListLedgersStream = Answers<v1::BootLedger>;

    async fn list_ledgers(
        &self,
        request: Request<v1::ListLedgersRequest>,
    ) -> Result<Response<Self::ListLedgersStream>, Status> {
        allow(&request)?;
        let agent = request.into_inner().agent;
        let of_agent = move |l: &v1::BootLedger| agent.is_empty() || l.agent == agent;
        let ledgers = answers::ledgers().into_iter().filter(of_agent).map(Ok);
        Ok(Response::new(Box::pin(futures::stream::iter(ledgers.collect::<Vec<_>>()))))
    }

    async fn watch_plan(&self, _: Request<v1::WatchPlanRequest>) -> Result<Response<Self::WatchPlanStream>, Status> {
        let plan = read_plan(PLAN, &no_env).map_err(|mistakes| Status::internal(mistakes.to_string()))?;
        let update = v1::PlanUpdate {
            version: plan.version().to_string(),
            revision: plan.revision,
            plan_json: plan.to_canonical_json().into_bytes(),
        };
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(update)]))))
    }

    async fn list_agents(
        &self,
        request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<v1::ListAgentsResponse>, Status> {
        allow(&request)?;
        Ok(Response::new(v1::ListAgentsResponse { agents: answers::agents(), collector: "col-nl".to_owned() }))
    }
}

#[tonic::async_trait]
impl Verdicts for Canned {
    type WatchStream = Answers<v1::Verdict>;

    async fn list(
        &self,
        request: Request<v1::ListVerdictsRequest>,
    ) -> Result<Response<v1::ListVerdictsResponse>, Status> {
        allow(&request)?;
        let asked = request.into_inner();
        match asked.service.as_str() {
            "silent" => tokio::time::sleep(Duration::from_secs(60)).await,
            "broken" => return Err(Status::internal("the store is \u{1b}[31mon fire")),
            _ => {}
        }
        let known = |v: &v1::Verdict| asked.as_of_us == 0 || v.decided_us <= asked.as_of_us;
        let of_service = |v: &v1::Verdict| known(v) && (asked.service.is_empty() || v.service == asked.service);
        let all: Vec<v1::Verdict> = answers::verdicts().into_iter().filter(of_service).collect();
        let (verdicts, next_page_token) = page(&all, asked.page_size, &asked.page_token);
        Ok(Response::new(v1::ListVerdictsResponse { verdicts, next_page_token }))
    }

    async fn get(&self, request: Request<v1::GetVerdictRequest>) -> Result<Response<v1::GetVerdictResponse>, Status> {
        allow(&request)?;
        let asked = request.into_inner();
        let known = |v: &v1::Verdict| asked.as_of_us == 0 || v.decided_us <= asked.as_of_us;
        let revisions: Vec<v1::Verdict> = answers::revisions().into_iter().filter(known).collect();
        if revisions.is_empty() {
            return Err(Status::not_found(format!("episode {:?} was not known yet", asked.episode)));
        }
        let wanted = if asked.revision == 0 { revisions.len() } else { asked.revision as usize };
        match revisions.get(wanted - 1) {
            Some(verdict) if verdict.episode == asked.episode => {
                let verdict = Some(answers::in_full(verdict.clone()));
                Ok(Response::new(v1::GetVerdictResponse { verdict, revisions }))
            }
            Some(_) => Err(Status::not_found(format!("no episode {:?}", asked.episode))),
            None => Err(Status::not_found(format!("episode {:?} has {} revisions", asked.episode, revisions.len()))),
        }
    }

    /// The first watch breaks off after the first revision.
    async fn watch(&self, request: Request<v1::WatchVerdictsRequest>) -> Result<Response<Self::WatchStream>, Status> {
        allow(&request)?;
        let first = self.watches.fetch_add(1, Ordering::SeqCst) == 0;
        let shown = answers::revisions().into_iter().take(if first { 1 } else { 2 }).map(Ok);
        Ok(Response::new(Box::pin(futures::stream::iter(shown.collect::<Vec<_>>()))))
    }

    async fn timeline(&self, request: Request<v1::TimelineRequest>) -> Result<Response<v1::TimelineResponse>, Status> {
        allow(&request)?;
        let asked = request.into_inner();
        match asked.service.as_str() {
            "exchange" if asked.as_of_us > 0 => {
                let mut past = v1::TimelineResponse { watermark_us: 0, ..answers::timeline() };
                past.segments.retain(|s| s.from_us < asked.as_of_us);
                Ok(Response::new(past))
            }
            "exchange" => Ok(Response::new(answers::timeline())),
            "portal" => Ok(Response::new(v1::TimelineResponse::default())),
            other => Err(Status::not_found(format!("no service {other:?} in the plan"))),
        }
    }
}

#[tonic::async_trait]
impl Measurements for Canned {
    async fn query(&self, request: Request<v1::QueryRequest>) -> Result<Response<v1::QueryResponse>, Status> {
        allow(&request)?;
        let asked = request.into_inner();
        let matches = |m: &v1::Measurement| asked.agent.is_empty() || m.agent == asked.agent;
        let all: Vec<v1::Measurement> = answers::measurements().into_iter().filter(matches).collect();
        let (measurements, next_page_token) = page(&all, asked.page_size.min(3), &asked.page_token);
        Ok(Response::new(v1::QueryResponse { measurements, next_page_token, damaged_records: 0 }))
    }
}

/// A small plan with one of everything that is shown.
pub(super) const PLAN: &str = r#"
name: trial
revision: ${PLAN_REVISION:-7}
slot: 10s
regions: { NL: [1, 2], IE: [1] }
agents: { nl-1: NL/1, ie-1: IE/1 }
partners:
  idp: { probe: "https://idp.example.net/health" }
controls:
  ctl-a: { probe: "https://control-a.example.org/" }
services:
  exchange:
    title: Exchange
    class: webservice
    active_region: NL
    chain: [idp]
    endpoints:
      default:
        regional:
          NL: https://exchange.nl.example.net/diagnostics/for/probes/of/the/region
          IE: https://exchange.ie.example.net/diagnostics/for/probes/of/the/region
        global: https://exchange.example.net/diagnostics
windows:
  - kind: agreed
    from: 2026-04-10T20:00:00+02:00
    to: 2026-04-10T21:00:00+02:00
    reason: The register moves, agreed with all who use it
    author: operations
"#;

/// Nothing is set, so a plan must do with its defaults.
pub(super) fn no_env(_: &str) -> Option<String> {
    None
}

/// The canned collector, running, and certificates to ask it with.
pub(super) struct Service {
    pub(super) directory: tempfile::TempDir,
    pub(super) addr: SocketAddr,
    authority: Authority,
    stop: CancellationToken,
    _runtime: tokio::runtime::Runtime,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Service {
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create("trial", validity()).unwrap();
        authority.save(directory.path()).unwrap();
        let (addr, stop) = runtime.block_on(serve(directory.path().to_owned(), &authority));
        let service = Self { directory, addr, authority, stop, _runtime: runtime };
        service.issue("uitwijk://viewer/anna");
        service
    }

    /// Makes `NAME.pem` and `NAME-key.pem`.
    pub(super) fn issue(&self, uri: &str) {
        let identity = Identity::parse_uri(uri).unwrap();
        let ca_file = self.directory.path().join("ca.pem");
        let issued = self.authority.issue(&identity, &[], validity()).unwrap();
        issued.save(self.directory.path(), &identity.name, &ca_file).unwrap();
    }
}

fn validity() -> Validity {
    Validity::from_now(NOW, Millis::from_secs(86_400))
}

async fn serve(directory: PathBuf, authority: &Authority) -> (SocketAddr, CancellationToken) {
    let identity = Identity::parse_uri("uitwijk://collector/NL/col-nl").unwrap();
    let issued = authority.issue(&identity, &["127.0.0.1".to_owned()], validity()).unwrap();
    let files = issued.save(&directory, "col-nl", &directory.join("ca.pem")).unwrap();
    let credentials = Credentials::load(&files, Arc::new(HalfPastEight)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let counters = Arc::new(ServerCounters::default());
    let incoming = server::incoming(listener, credentials, ServerLimits::default(), counters);
    let (canned, policies, stop) = (Canned::default(), CannedPolicies::new(), CancellationToken::new());
    let serving = tonic::transport::Server::builder()
        .add_service(FleetServer::new(canned.clone()))
        .add_service(VerdictsServer::new(canned.clone()))
        .add_service(MeasurementsServer::new(canned))
        .add_service(LabelsServer::new(policies.clone()))
        .add_service(PoliciesServer::new(policies))
        .add_service(SwitchesServer::new(CannedSwitches::new()))
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    tokio::spawn(serving);
    (addr, stop)
}
