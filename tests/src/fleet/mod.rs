//! How does a whole fleet start, run and stop on this machine?
//!
//! ```text
//!   Fleet
//!     world        sites and resolvers, in this process
//!     col-nl, col-ie     processes, each with its own store directory
//!     nl-1 .. ie-3       processes, each with its own buffer directory and resolver,
//!                        and a link to each collector that can be cut
//! ```
//!
//! Everything of a fleet lies under one directory: certificates, plan, configurations, data and logs.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tonic::transport::Channel;
use uitwijk_identity::{ClientOptions, Identity, Role};
use uitwijk_model::{AgentId, Region, Vantage, Zone};

pub mod agreement;
pub mod clock;
pub mod config;
pub mod link;
pub mod pki;
pub mod plan;
pub mod prepare;
pub mod process;

use crate::world::dns::Resolver;
use crate::world::tls::SiteCertificate;
use crate::world::{REGIONS, World, WorldOptions, ZONES};
use link::Link;
use pki::Pki;
use process::{Process, Program};

/// How a fleet is set up.
#[derive(Debug, Clone, Default)]
pub struct FleetOptions {
    /// Where everything of the fleet lies; made when missing.
    pub dir: PathBuf,
    /// Length of a slot.
    pub slot: Duration,
    /// The binary `uitwijk-fleet`.
    pub binary: PathBuf,
    /// Environment of every process.
    pub env: Vec<(String, String)>,
    /// Where agents stand and the plan has them; everywhere when it is empty.
    pub places: Vec<(&'static str, &'static str)>,
    /// Agents record what they start under `record/` in the directory.
    pub record: bool,
    /// What is special about a process, by its name.
    pub special: BTreeMap<String, Special>,
    /// Before a process starts for good it is started and killed so often, each time so long after.
    pub false_starts: Vec<Duration>,
}

/// What is special about one process.
#[derive(Debug, Clone, Default)]
pub struct Special {
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// Further lines of its configuration.
    pub lines: String,
    /// Where its data lies, if elsewhere.
    pub data_dir: Option<PathBuf>,
}

impl FleetOptions {
    fn places(&self) -> Vec<(&'static str, &'static str)> {
        let everywhere = || REGIONS.into_iter().flat_map(|region| ZONES.map(|zone| (region, zone))).collect();
        if self.places.is_empty() { everywhere() } else { self.places.clone() }
    }

    fn special(&self, name: &str) -> Special {
        self.special.get(name).cloned().unwrap_or_default()
    }
}

/// A running fleet; its processes end with it.
pub struct Fleet {
    /// What the agents look at.
    pub world: World,
    /// Who is who.
    pub pki: Pki,
    /// The agents by name.
    pub agents: BTreeMap<String, Agent>,
    /// The collectors by name.
    pub collectors: BTreeMap<String, Collector>,
    /// Where everything lies.
    pub dir: PathBuf,
    binary: PathBuf,
}

/// One agent.
pub struct Agent {
    /// Its process.
    pub process: Process,
    /// Who answers its names.
    pub resolver: Resolver,
    /// Its ways to the collectors, by name of the collector.
    pub links: BTreeMap<String, Link>,
    /// Where it tells of itself.
    pub admin: SocketAddr,
}

/// One collector.
pub struct Collector {
    /// Its process.
    pub process: Process,
    /// Where it serves gRPC.
    pub address: SocketAddr,
    /// Where it tells of itself.
    pub admin: SocketAddr,
}

/// The collectors, one in each region.
pub const COLLECTORS: [(&str, &str); 2] = [("col-nl", "NL"), ("col-ie", "IE")];

impl Fleet {
    /// Makes certificates, starts sites and collectors, then agents, and waits until each serves.
    ///
    /// # Errors
    /// When something cannot be made or started; the message has the end of the log of what failed.
    pub async fn start(options: &FleetOptions) -> anyhow::Result<Self> {
        let mut fleet = Self::start_collectors(options).await?;
        fleet.start_agents(options).await?;
        Ok(fleet)
    }

    /// The first half of [`Self::start`]: everything but the agents.
    ///
    /// # Errors
    /// As there.
    pub async fn start_collectors(options: &FleetOptions) -> anyhow::Result<Self> {
        let dir = options.dir.clone();
        for sub in ["pki", "log", "etc", "data", "record"] {
            fs::create_dir_all(dir.join(sub)).with_context(|| format!("make {}", dir.join(sub).display()))?;
        }
        let pki = Pki::create(&dir.join("pki"))?;
        for role in [Role::Operator, Role::Viewer] {
            pki.issue(&Identity { name: role.label().to_owned(), role }, &[])?;
        }
        let certificate = SiteCertificate::create()?;
        certificate.save(&dir.join("pki"))?;
        let world_options = WorldOptions { ip: Ipv4Addr::LOCALHOST, first_port: 0, slot: options.slot };
        let world = World::start(&world_options, &certificate)?;
        let ca = dir.join("pki/world-ca.pem");
        let plan = plan::plan_yaml(&world.sites(), &ca, options.slot, &options.places());
        fs::write(dir.join("plan.yaml"), plan)?;

        let binary = options.binary.clone();
        let mut fleet = Self { world, pki, agents: BTreeMap::new(), collectors: BTreeMap::new(), dir, binary };
        let mut started = Vec::new();
        for (name, region) in COLLECTORS {
            let program = fleet.collector_program(name, region, options)?;
            false_starts(&program, &options.false_starts).await?;
            started.push((name, program.start()?));
        }
        for (name, mut process) in started {
            let ready = process.ready().await?;
            let address = ready.listen.context("a collector tells where it listens")?;
            fleet.collectors.insert(name.to_owned(), Collector { process, address, admin: ready.admin });
        }
        Ok(fleet)
    }

    /// The second half of [`Self::start`].
    ///
    /// # Errors
    /// As there.
    pub async fn start_agents(&mut self, options: &FleetOptions) -> anyhow::Result<()> {
        let mut started = Vec::new();
        for (region, zone) in options.places() {
            let name = agent_name(region, zone);
            let resolver = self.world.resolver().await?;
            let mut links = BTreeMap::new();
            for (collector, c) in &self.collectors {
                links.insert(collector.clone(), Link::start(c.address).await?);
            }
            let program = self.agent_program(&name, (region, zone), &resolver, &links, options)?;
            false_starts(&program, &options.false_starts).await?;
            started.push((name, program.start()?, resolver, links));
        }
        for (name, mut process, resolver, links) in started {
            let admin = process.ready().await?.admin;
            self.agents.insert(name, Agent { process, resolver, links, admin });
        }
        Ok(())
    }

    /// An agent by name.
    ///
    /// # Errors
    /// When there is none.
    pub fn agent(&mut self, name: &str) -> anyhow::Result<&mut Agent> {
        self.agents.get_mut(name).with_context(|| format!("no agent {name}"))
    }

    /// A collector by name.
    ///
    /// # Errors
    /// When there is none.
    pub fn collector(&mut self, name: &str) -> anyhow::Result<&mut Collector> {
        self.collectors.get_mut(name).with_context(|| format!("no collector {name}"))
    }

    /// A connection to a collector, as the operator or as somebody else who has a certificate.
    ///
    /// # Errors
    /// When the collector cannot be reached.
    pub async fn channel(&self, collector: &str, who: &str) -> anyhow::Result<Channel> {
        let address = self.collectors.get(collector).with_context(|| format!("no collector {collector}"))?.address;
        let url = format!("https://{address}");
        Ok(uitwijk_identity::channel(&url, self.pki.credentials(who)?, ClientOptions::default()).await?)
    }

    /// A connection to each collector.
    ///
    /// # Errors
    /// When one cannot be reached.
    pub async fn channels(&self, who: &str) -> anyhow::Result<BTreeMap<String, Channel>> {
        let mut channels = BTreeMap::new();
        for name in self.collectors.keys() {
            channels.insert(name.clone(), self.channel(name, who).await?);
        }
        Ok(channels)
    }

    /// Stops agents, then collectors, in the orderly way.
    ///
    /// # Errors
    /// When one does not stop in time; the others are stopped all the same.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        const GRACE: Duration = Duration::from_secs(20);
        let agents = self.agents.values_mut().map(|a| a.process.stop(GRACE));
        let agents = futures::future::join_all(agents).await;
        let collectors = self.collectors.values_mut().map(|c| c.process.stop(GRACE));
        let collectors = futures::future::join_all(collectors).await;
        for status in agents.into_iter().chain(collectors) {
            status?;
        }
        Ok(())
    }

    fn collector_program(&self, name: &str, region: &str, options: &FleetOptions) -> anyhow::Result<Program> {
        let identity = Identity { name: name.to_owned(), role: Role::Collector(Region::new(region)?) };
        let tls = self.pki.issue(&identity, &["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        let special = options.special(name);
        let data = special.data_dir.clone().unwrap_or_else(|| self.dir.join("data").join(name));
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = config::collector(name, loopback, loopback, &data, &self.dir.join("plan.yaml"), &tls);
        self.program("collector", name, config, special, &options.env)
    }

    fn agent_program(
        &self,
        name: &str,
        (region, zone): (&str, &str),
        resolver: &Resolver,
        links: &BTreeMap<String, Link>,
        options: &FleetOptions,
    ) -> anyhow::Result<Program> {
        let vantage = Vantage { region: Region::new(region)?, zone: Zone::new(zone)? };
        let tls = self.pki.issue(&Identity::agent(&AgentId::new(name)?, vantage), &[])?;
        let special = options.special(name);
        let data = special.data_dir.clone().unwrap_or_else(|| self.dir.join("data").join(name));
        let urls = links.iter().map(|(collector, link)| (collector.as_str(), format!("https://{}", link.address())));
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = config::agent(loopback, &data, Some(resolver.address()), &tls, urls);
        if options.record {
            config.push_str(&format!("record: {{ file: \"{}\" }}\n", self.record_file(name).display()));
        }
        self.program("agent", name, config, special, &options.env)
    }

    fn program(
        &self,
        part: &'static str,
        name: &str,
        config: String,
        special: Special,
        env: &[(String, String)],
    ) -> anyhow::Result<Program> {
        let path = self.config_file(name);
        fs::write(&path, config + &special.lines).with_context(|| format!("write {}", path.display()))?;
        Ok(Program {
            binary: self.binary.clone(),
            part,
            args: vec!["--config".into(), path.into()],
            name: name.to_owned(),
            dir: self.dir.join("log"),
            env: env.iter().cloned().chain(special.env).collect(),
        })
    }

    /// Where an agent records what it starts, if it does.
    pub fn record_file(&self, agent: &str) -> PathBuf {
        self.dir.join("record").join(format!("{agent}.jsonl"))
    }

    /// Where the configuration of a process is.
    pub fn config_file(&self, name: &str) -> PathBuf {
        self.dir.join("etc").join(format!("{name}.yaml"))
    }

    /// Gives somebody a new certificate under the same name; who runs has to be told of it.
    ///
    /// # Errors
    /// When nobody is called so, or it cannot be made.
    pub fn reissue(&self, name: &str) -> anyhow::Result<()> {
        let identity = identity(name)?;
        let is_collector = matches!(identity.role, Role::Collector(_));
        let hosts = ["127.0.0.1", "localhost"].map(str::to_owned);
        self.pki.issue(&identity, if is_collector { &hosts } else { &[] }).map(drop)
    }

    /// Waits until a collector serves that was started again, and leads every agent to where it is now.
    ///
    /// # Errors
    /// When it does not serve in time.
    pub async fn collector_is_back(&mut self, name: &str) -> anyhow::Result<()> {
        let collector = self.collector(name)?;
        let ready = collector.process.ready().await?;
        let address = ready.listen.context("a collector tells where it listens")?;
        (collector.address, collector.admin) = (address, ready.admin);
        let links = self.agents.values().filter_map(|agent| agent.links.get(name));
        links.for_each(|link| link.lead_to(address));
        Ok(())
    }

    /// Writes a script that runs `uitwijk` as the operator against a collector, for people to look further.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_shortcut(&self, collector: &str) -> anyhow::Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let address = self.collectors.get(collector).with_context(|| format!("no collector {collector}"))?.address;
        let tls = self.pki.files("operator");
        let script = format!(
            "#!/bin/sh\n# `uitwijk` as the operator of this fleet, asking {collector}.\n\
             export UITWIJK_COLLECTOR=\"${{UITWIJK_COLLECTOR:-https://{address}}}\"\n\
             export UITWIJK_TLS_CA='{ca}' UITWIJK_TLS_CERT='{cert}' UITWIJK_TLS_KEY='{key}'\n\
             exec '{binary}' uitwijk \"$@\"\n",
            ca = tls.ca_file.display(),
            cert = tls.cert_file.display(),
            key = tls.key_file.display(),
            binary = self.binary.display(),
        );
        let path = self.dir.join("uitwijk");
        fs::write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }
}

/// Starts a process and kills it, again and again; what it leaves behind is what the next start finds.
async fn false_starts(program: &Program, killed_after: &[Duration]) -> anyhow::Result<()> {
    for after in killed_after {
        let mut process = program.start()?;
        tokio::time::sleep(*after).await;
        process.kill().await?;
    }
    Ok(())
}

/// Who a process or a person of a fleet is, by name.
///
/// # Errors
/// When nobody in a fleet is called so.
pub fn identity(name: &str) -> anyhow::Result<Identity> {
    let named = |role| Identity { name: name.to_owned(), role };
    if let Some((_, region)) = COLLECTORS.iter().find(|(collector, _)| *collector == name) {
        return Ok(named(Role::Collector(Region::new(region)?)));
    }
    if let Some(role) = [Role::Operator, Role::Viewer].into_iter().find(|role| role.label() == name) {
        return Ok(named(role));
    }
    let (region, zone) = name.split_once('-').with_context(|| format!("nobody in a fleet is called {name}"))?;
    let vantage = Vantage { region: Region::new(region.to_ascii_uppercase())?, zone: Zone::new(zone)? };
    Ok(Identity::agent(&AgentId::new(name)?, vantage))
}

/// The name of the agent in a zone: `nl-1`.
pub fn agent_name(region: &str, zone: &str) -> String {
    format!("{}-{zone}", region.to_ascii_lowercase())
}

/// The binary `uitwijk-fleet`, when this process is not it: `target/<profile>/uitwijk-fleet`.
pub fn own_binary() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("find our own binary")
}

/// Removes a directory of an earlier fleet, but never one that does not look like it.
///
/// # Errors
/// When the directory holds something else, or cannot be removed.
pub fn clear_dir(dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let empty = fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?.next().is_none();
    anyhow::ensure!(
        empty || dir.join("plan.yaml").exists() && dir.join("pki").exists(),
        "{} holds something other than a demo fleet: choose another directory with --dir",
        dir.display()
    );
    fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))
}
