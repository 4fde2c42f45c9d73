//! What does a day without a collector cost an agent, and how does it get rid of what it kept?
//!
//! ```text
//!   the agent learns its plan, and stops      a child fills its buffer (kept.rs)      the agent starts, still cut off
//!   the link is mended     what was kept drains, while probes go on; then a while more
//! ```
//!
//! Agent, collector, certificates, names and probes are real: fresh TLS to three sites in this process. Only what was kept of the day
//! before is made. The allocator is the one that agents ship with. How late a probe began, and how large process and buffer are, say
//! `/proc` and the agent's own metrics.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use uitwijk_identity::Identity;
use uitwijk_model::{AgentId, Millis, SlotLength};

use super::cost::{self, load_of_machine};
use super::kept::Filled;
use super::shape::{Shape, Sites};
use super::stage::{self, metric};
use crate::fleet::link::{Link, Weather};
use crate::fleet::pki::Pki;
use crate::fleet::process::{Process, Program};
use crate::fleet::{COLLECTORS, config};
use crate::world::dns::{Resolver, SUFFIX};
use crate::world::tls::SiteCertificate;
use crate::world::{CONTROLS, World, WorldOptions};

/// So many rows are no backlog any more.
const DRAINED: f64 = 1024.0;
/// Longer than any drain that is worth a figure.
const DRAIN_MAX: Duration = Duration::from_secs(600);
const STOP: Duration = Duration::from_secs(60);

/// How long it was cut off, and with which limits.
#[derive(Debug, Clone, clap::Args)]
pub struct Cutoff {
    /// Hours without a collector.
    #[arg(long, default_value_t = 24)]
    pub hours: u32,
    /// Targets, each probed every 10 s.
    #[arg(long, default_value_t = 501)]
    pub targets: u32,
    /// The agent's `buffer.disk_bytes_max`.
    #[arg(long, default_value_t = 256 << 20)]
    pub disk_bytes_max: u64,
    /// Measurements of one commit: an agent commits every 150 ms.
    #[arg(long, default_value_t = 8)]
    pub commit_rows: u32,
    /// How long the agent probes before the link is mended, and after the drain.
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
}

/// The processes, and what they look at.
struct Scene {
    agent: Process,
    admin: SocketAddr,
    collector: Process,
    link: Link,
    buffer: PathBuf,
    _world: World,
    _resolver: Resolver,
}

impl Cutoff {
    pub(super) async fn run(&self, dir: &Path, binary: &Path) -> anyhow::Result<()> {
        anyhow::ensure!(
            cfg!(not(feature = "mimalloc")),
            "agents ship with the system's allocator, and this program has the collector's: run it with --no-default-features"
        );
        let mut scene = self.scene(dir, binary).await?;
        scene.until("the plan", Duration::from_secs(60), |f| f.attempts > 0.0).await?;
        scene.agent.stop(STOP).await?;
        scene.link.set(Weather::Cut);
        let filled = self.fill(binary, &scene.buffer).await?;
        println!(
            "cutoff: {} h of {} targets made {} measurements, {} kept; {:.1} bytes each in records, {:.1} MiB on disk at most of {} allowed, \
             {:.1} MiB RSS at most, {:.2} CPU s per million",
            self.hours,
            self.targets,
            filled.written,
            filled.kept,
            filled.raw_bytes as f64 / filled.kept.max(1) as f64,
            mib(filled.disk_bytes),
            self.disk_bytes_max >> 20,
            mib(filled.rss_bytes),
            filled.cpu_seconds * 1e6 / filled.written as f64,
        );

        let begun = tokio::time::Instant::now();
        scene.agent.restart()?;
        scene.admin = scene.agent.ready().await?.admin;
        let ready = begun.elapsed();
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let cut_off = scene.figures().await?;
        println!(
            "cutoff: still cut off: ready in {:.1} s, {:.1} MiB RSS at most, buffer {:.1} MiB on disk, {}",
            ready.as_secs_f64(),
            mib(scene.peak()?),
            cut_off.disk / f64::from(1 << 20),
            cut_off.lateness(&Figures::default())
        );

        scene.link.set(Weather::Fair);
        let begin =
            scene.until("the link", Duration::from_secs(120), |f| f.acknowledged > cut_off.acknowledged).await?;
        let begun = tokio::time::Instant::now();
        let drained = scene.until("the drain", DRAIN_MAX, |f| f.backlog <= DRAINED).await?;
        let took = begun.elapsed().as_secs_f64();
        let rows = begin.backlog - drained.backlog;
        println!(
            "cutoff: drained {rows:.0} measurements in {took:.1} s, {:.0} a second, {:.1} MiB RSS at most, {}, machine load {}",
            rows / took,
            mib(scene.peak()?),
            drained.lateness(&cut_off),
            load_of_machine()
        );
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let after = scene.figures().await?;
        println!(
            "cutoff: afterwards: buffer {:.1} MiB on disk, {:.1} MiB RSS at most, {}",
            after.disk / f64::from(1 << 20),
            mib(scene.peak()?),
            after.lateness(&drained)
        );
        scene.agent.stop(STOP).await?;
        scene.collector.stop(STOP).await?;
        Ok(())
    }

    async fn scene(&self, dir: &Path, binary: &Path) -> anyhow::Result<Scene> {
        for sub in ["pki", "log"] {
            std::fs::create_dir_all(dir.join(sub))?;
        }
        let pki = Pki::create(&dir.join("pki"))?;
        let certificate = SiteCertificate::create()?;
        certificate.save(&dir.join("pki"))?;
        let ip = std::net::Ipv4Addr::LOCALHOST;
        let world = World::start(&WorldOptions { ip, first_port: 0, slot: Duration::from_secs(10) }, &certificate)?;
        let resolver = world.resolver().await?;
        let shape = Shape::new(1, self.targets, 500, SlotLength::new(Millis::from_secs(10))?)?;
        let sites = world.sites();
        let ca = dir.join("pki/world-ca.pem");
        let sites = Sites {
            urls: CONTROLS.map(|name| format!("https://{name}.{SUFFIX}:{}/", sites.controls[name].port())),
            defaults: format!("defaults: {{ probe: {{ tls_options: {{ ca_file: \"{}\" }} }} }}\n", ca.display()),
        };
        std::fs::write(dir.join("plan.yaml"), shape.plan_yaml(&sites)?)?;
        let mut collector = stage::collector(dir, binary, &pki, stage::NO_WAIT)?.start()?;
        let listen = collector.ready().await?.listen.context("a collector tells where it listens")?;
        let link = Link::start(listen).await?;
        let mut agent = self.program(dir, binary, &pki, &resolver, &link)?.start()?;
        let admin = agent.ready().await?.admin;
        let buffer = dir.join("agent/buffer");
        Ok(Scene { agent, admin, collector, link, buffer, _world: world, _resolver: resolver })
    }

    fn program(
        &self,
        dir: &Path,
        binary: &Path,
        pki: &Pki,
        resolver: &Resolver,
        link: &Link,
    ) -> anyhow::Result<Program> {
        let name = Shape::agent_name(0);
        let files = pki.issue(&Identity::agent(&AgentId::new(&name)?, Shape::vantage(0)?), &[])?;
        let url = format!("https://{}", link.address());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let collectors = [(COLLECTORS[0].0, url)].into_iter();
        let text = config::agent(any, &dir.join("agent"), Some(resolver.address()), &files, collectors);
        let path = dir.join("agent.yaml");
        std::fs::write(&path, text)?;
        let env = vec![("UITWIJK_AGENT_BUFFER_DISK_BYTES_MAX".to_owned(), self.disk_bytes_max.to_string())];
        let (binary, args) = (binary.to_owned(), vec!["--config".into(), path.into()]);
        Ok(Program { binary, part: "agent", args, name, dir: dir.join("log"), env })
    }

    async fn fill(&self, binary: &Path, buffer: &Path) -> anyhow::Result<Filled> {
        let mut command = tokio::process::Command::new(binary);
        command.args(["load", "fill", "--collector", COLLECTORS[0].0]).arg("--buffer").arg(buffer);
        let numbers = [
            ("--targets", u64::from(self.targets)),
            ("--hours", self.hours.into()),
            ("--disk-bytes-max", self.disk_bytes_max),
            ("--commit-rows", self.commit_rows.into()),
        ];
        for (name, number) in numbers {
            command.arg(name).arg(number.to_string());
        }
        let output = command.stderr(std::process::Stdio::inherit()).kill_on_drop(true).output().await?;
        anyhow::ensure!(output.status.success(), "filling the buffer ended with {}", output.status);
        serde_json::from_slice(&output.stdout).context("read what came of filling the buffer")
    }
}

/// What the agent says of itself.
#[derive(Debug, Clone, Default)]
struct Figures {
    attempts: f64,
    backlog: f64,
    acknowledged: f64,
    disk: f64,
    /// Probes that began at most so late, in milliseconds.
    late: Vec<(&'static str, f64)>,
    probes: f64,
}

impl Figures {
    /// How late the probes began that began since, as far as the metric's buckets tell.
    fn lateness(&self, since: &Self) -> String {
        let before = |i: usize| since.late.get(i).map_or(0.0, |(_, n)| *n);
        let all = self.probes - since.probes;
        let within = |share: f64| {
            let counts = self.late.iter().enumerate().map(|(i, (edge, n))| (edge, n - before(i)));
            let edge = counts.clone().find(|(_, n)| *n >= all * share).map(|(edge, _)| format!("{edge} s"));
            edge.unwrap_or_else(|| "over 1 s".to_owned())
        };
        format!("{all:.0} probes began after they were due: 99 % within {}, all within {}", within(0.99), within(1.0))
    }
}

const EDGES: [&str; 10] = ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1.0"];

impl Scene {
    async fn figures(&self) -> anyhow::Result<Figures> {
        let of = |name: &'static str| metric(self.admin, name);
        let mut late = Vec::new();
        for edge in EDGES {
            let name = format!("uitwijk_agent_late_seconds_bucket{{le=\"{edge}\"}}");
            late.push((edge, metric(self.admin, &name).await?));
        }
        Ok(Figures {
            attempts: of("uitwijk_agent_attempts_total").await.unwrap_or(0.0),
            backlog: of("uitwijk_agent_backlog_rows").await?,
            acknowledged: of("uitwijk_agent_rows_acknowledged_total").await?,
            disk: of("uitwijk_agent_buffer_bytes").await?,
            late,
            probes: of("uitwijk_agent_late_seconds_count").await?,
        })
    }

    /// Looks until something is so.
    async fn until(&self, what: &str, most: Duration, is_so: impl Fn(&Figures) -> bool) -> anyhow::Result<Figures> {
        let look = async {
            loop {
                let figures = self.figures().await?;
                if is_so(&figures) {
                    return anyhow::Ok(figures);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(most, look).await.with_context(|| format!("waited for {what} for {most:?}"))?
    }

    /// The most memory that the agent ever had.
    fn peak(&self) -> anyhow::Result<u64> {
        cost::peak(&self.agent.id().context("the agent has ended")?.to_string())
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
