//! What does every load need: certificates, a plan, a collector process, and agents that are connected?

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use uitwijk_identity::{Identity, Role, TlsFiles};
use uitwijk_model::{AgentId, Clock as _, Region, Slot, SystemClock};

use super::agent::Agent;
use super::cost::Cost;
use super::shape::{Shape, Sites};
use super::traffic::{Mix, Pace, Traffic};
use crate::fleet::pki::Pki;
use crate::fleet::process::{Process, Program, Ready};
use crate::fleet::{COLLECTORS, config};
use crate::world::forward::forward;

/// How long an orderly stop may take.
const STOP_MAX: Duration = Duration::from_secs(120);
/// A collector that judges at once.
pub(super) const NO_WAIT: &str = "0s";

/// How long a start may take, however much the store holds.
const READY_MAX: Duration = Duration::from_secs(300);

/// A collector with an empty store and the plan of a simulated fleet.
pub(super) struct Stage {
    dir: PathBuf,
    binary: PathBuf,
    pki: Pki,
    pub(super) shape: Arc<Shape>,
    pub(super) collector: Process,
    ready: Ready,
}

impl Stage {
    /// Starts a collector in an empty directory. Nothing was kept while it was away, so it need not wait for it.
    pub(super) async fn start(dir: &Path, binary: &Path, shape: Shape) -> anyhow::Result<Self> {
        Self::waiting(dir, binary, shape, NO_WAIT).await
    }

    /// The same with a collector that waits so long, at most, for what agents kept, before it judges.
    pub(super) async fn waiting(dir: &Path, binary: &Path, shape: Shape, catch_up_max: &str) -> anyhow::Result<Self> {
        for sub in ["pki", "log"] {
            std::fs::create_dir_all(dir.join(sub))?;
        }
        let pki = Pki::create(&dir.join("pki"))?;
        let plan = dir.join("plan.yaml");
        std::fs::write(&plan, shape.plan_yaml(&Sites::default())?)?;
        let mut collector = collector(dir, binary, &pki, catch_up_max)?.start()?;
        let ready = collector.ready_within(READY_MAX).await?;
        let (dir, binary) = (dir.to_owned(), binary.to_owned());
        Ok(Self { dir, binary, pki, shape: Arc::new(shape), collector, ready })
    }

    /// Connects all agents, which send nothing yet.
    pub(super) async fn connect(&self, pace: Pace, mix: Mix) -> anyhow::Result<Vec<Agent>> {
        let url = format!("https://{}", self.ready.listen.context("a collector tells where it listens")?);
        let mut agents = Vec::new();
        for agent in 0..self.shape.agents {
            let name = Shape::agent_name(agent);
            let identity = Identity::agent(&AgentId::new(&name)?, Shape::vantage(agent)?);
            self.pki.issue(&identity, &[])?;
            let traffic = Traffic::new(self.shape.clone(), agent, pace, mix);
            agents.push(Agent::connect(&url, self.pki.credentials(&name)?, traffic).await?);
        }
        Ok(agents)
    }

    /// The first slot that begins so long from now.
    pub(super) fn slot_in(&self, wait: Duration) -> Slot {
        let ms = u64::try_from(wait.as_millis()).unwrap_or(0);
        self.shape.slot.slot_of(SystemClock.wall().plus(uitwijk_model::Millis(ms))).plus(1)
    }

    /// Where the collector keeps everything.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(super) fn cost(&self) -> anyhow::Result<Cost> {
        Cost::of(&self.collector, &self.data())
    }

    /// Starts the collector again after it ended, as one that waits for nothing, and answers how long it took until it served.
    pub(super) async fn restart(&mut self) -> anyhow::Result<Duration> {
        let program = collector(&self.dir, &self.binary, &self.pki, NO_WAIT)?;
        let begun = tokio::time::Instant::now();
        self.collector = program.start()?;
        self.ready = self.collector.ready_within(READY_MAX).await?;
        Ok(begun.elapsed())
    }

    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let status = self.collector.stop(STOP_MAX).await?;
        anyhow::ensure!(status.success(), "the collector ended with {status}");
        Ok(())
    }

    /// A number from the collector's own metrics; of several with the same beginning the sum.
    pub(super) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        metric(self.ready.admin, name).await
    }
}

/// A number from the metrics of a process; of several with the same beginning the sum.
pub(super) async fn metric(admin: SocketAddr, name: &str) -> anyhow::Result<f64> {
    let answer = forward(admin, "localhost", "/metrics", Duration::from_secs(10)).await?;
    let text = answer.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&text);
    let lines =
        text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{', ','])));
    let numbers: Vec<f64> = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
    anyhow::ensure!(!numbers.is_empty(), "there is no metric {name}");
    Ok(numbers.iter().sum())
}

/// How to start a collector over a directory that has a plan.
pub(super) fn collector(dir: &Path, binary: &Path, pki: &Pki, catch_up_max: &str) -> anyhow::Result<Program> {
    let (name, region) = COLLECTORS[0];
    let identity = Identity { name: name.to_owned(), role: Role::Collector(Region::new(region)?) };
    let files: TlsFiles = pki.issue(&identity, &["127.0.0.1".to_owned()])?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let path = dir.join("collector.yaml");
    let text = config::collector(name, any, any, &dir.join("data"), &dir.join("plan.yaml"), &files);
    std::fs::write(&path, format!("{text}judging: {{ catch_up_max: {catch_up_max} }}\n"))?;
    let args = vec!["--config".into(), path.into()];
    let (binary, dir) = (binary.to_owned(), dir.join("log"));
    Ok(Program { binary, part: "collector", args, name: name.to_owned(), dir, env: Vec::new() })
}
