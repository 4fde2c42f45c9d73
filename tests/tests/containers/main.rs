//! Does the fleet do its job as containers, from the images and the compose file that ship, whatever happens to them?
//!
//! Builds the images, starts six agents, two collectors and the targets on two networks, and lets the trouble of a week happen in minutes:
//!
//! ```text
//!   every container restarted in turn, a zone paused, a collector killed     nothing that a user would notice
//!   region NL gone: its targets, its agents, its collector                   the collector in IE decides alone
//!   region NL back                                                           both hold the same, and say the same
//! ```
//!
//! Where no Docker engine answers, the test says that it was skipped.

mod compose;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use compose::Compose;
use tonic::transport::Channel;
use uitwijk_collector::balance::{Begun, Bounds};
use uitwijk_identity::ClientOptions;
use uitwijk_model::Millis;
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::{Cause, ListAgentsRequest, Need, Verdict};
use uitwijk_tests::fleet::{agreement, pki, prepare};

const COLLECTORS: [&str; 2] = ["col-nl", "col-ie"];
const AGENTS: [&str; 6] = ["nl-1", "nl-2", "nl-3", "ie-1", "ie-2", "ie-3"];
/// Where an agent records what it starts, in its container.
const RECORD: &str = "/data/started.jsonl";
/// Nothing takes longer, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The judge's longest window: 30 slots of one second.
const WARM: Duration = Duration::from_secs(32);
/// How long the paused zone sleeps.
const PAUSE: Duration = Duration::from_secs(10);
/// Agents stop in order here, so whatever was started must be there.
const BOUNDS: Bounds = Bounds { unsynced: Millis(0) };

/// A fleet of containers.
struct Stage {
    compose: Compose,
    fleet: PathBuf,
    dir: tempfile::TempDir,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_of_containers_lives_through_what_fails_and_finds_the_outage() {
    let Some(stage) = Stage::up() else {
        eprintln!("skipped: no Docker engine with compose answers here");
        return;
    };
    stage.all_connected(6).await;
    tokio::time::sleep(WARM).await;

    // Whoever is restarted delivers the rest; whoever it spoke to goes on with the other.
    for service in COLLECTORS.iter().chain(&AGENTS) {
        stage.compose.must(&["restart", service]);
        stage.all_connected(6).await;
    }
    stage.compose.to_container("pause", "nl-2");
    tokio::time::sleep(PAUSE).await;
    stage.compose.to_container("unpause", "nl-2");
    stage.compose.to_container("kill", "col-ie");
    stage.compose.to_container("start", "col-ie");
    stage.all_connected(6).await;
    tokio::time::sleep(WARM).await;
    for name in COLLECTORS {
        let said = stage.verdicts(name).await;
        assert!(!said.iter().any(|v| v.need() == Need::Needed), "{name} calls for a switch: {said:#?}");
    }

    stage.turn("/region/NL/down").await;
    for (network, service) in [("nl", "nl-1"), ("nl", "nl-2"), ("nl", "nl-3"), ("nl", "col-nl"), ("ie", "col-nl")] {
        stage.compose.disconnect(network, service);
    }
    let needed = |v: &Verdict| v.need() == Need::Needed && v.cause() == Cause::RegionDown && v.service == "exchange";
    eventually("IE alone finds a failover needed", || stage.verdicts("col-ie"), |all| all.iter().any(needed)).await;
    stage.turn("/region/NL/up").await;
    for (network, service) in [("nl", "col-nl"), ("ie", "col-nl"), ("nl", "nl-1"), ("nl", "nl-2"), ("nl", "nl-3")] {
        stage.compose.connect(network, service);
    }
    stage.all_connected(6).await;

    let finals = || async {
        let mut sets = Vec::new();
        for name in COLLECTORS {
            sets.push(stage.verdicts(name).await);
        }
        agreement::equal_finals(&sets)
    };
    let finals = eventually("both have the same final verdicts", finals, Result::is_ok).await.expect("checked");
    assert!(finals.iter().any(needed), "{finals:#?}");
    stage.balance().await.expect("the books balance");
}

impl Stage {
    fn up() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let fleet = dir.path().join("fleet");
        prepare::prepare(&fleet, Duration::from_secs(1)).expect("the fleet can be prepared");
        for agent in AGENTS {
            let file = OpenOptions::new().append(true).open(fleet.join(format!("etc/{agent}.yaml")));
            writeln!(file.expect("the agent is configured"), "record:\n  file: {RECORD}").expect("it can be written");
        }
        open_for_containers(dir.path());
        Some(Self { compose: Compose::up(&fleet)?, fleet, dir })
    }

    /// A connection to a collector, wherever its port is now.
    async fn channel(&self, name: &str) -> Channel {
        let credentials = pki::credentials(&self.fleet.join("pki"), "viewer").expect("the viewer has a certificate");
        let open = || async {
            let url = format!("https://{}", self.compose.address(name, prepare::GRPC_PORT)?);
            uitwijk_identity::channel(&url, credentials.clone(), ClientOptions::default()).await.ok()
        };
        eventually(&format!("{name} answers"), open, Option::is_some).await.expect("checked")
    }

    /// Waits until so many agents speak to both collectors.
    async fn all_connected(&self, wanted: usize) {
        for name in COLLECTORS {
            let connected = || async { connected(self.channel(name).await).await };
            eventually(&format!("{wanted} agents are connected to {name}"), connected, |n| *n == wanted).await;
        }
    }

    async fn verdicts(&self, name: &str) -> Vec<Verdict> {
        let answer = agreement::verdicts(self.channel(name).await).await;
        answer.map(|all| all.into_values().collect()).unwrap_or_default()
    }

    /// Changes the world of the targets.
    async fn turn(&self, path: &str) {
        let address = self.compose.address("targets", 8080).and_then(|text| text.parse().ok());
        let address = address.expect("docker tells an address");
        let answer = uitwijk_tests::world::forward::forward(address, "targets", path, Duration::from_secs(10)).await;
        assert!(answer.expect("the targets take a turn").status().is_success());
    }

    /// Stops the agents, which deliver what they have, and compares what they recorded with what each collector holds.
    async fn balance(&self) -> anyhow::Result<()> {
        self.compose.must(&[&["stop"][..], &AGENTS[..]].concat());
        let mut begun = Begun::default();
        for agent in AGENTS {
            let copy = self.dir.path().join(format!("{agent}.jsonl"));
            self.compose.copy_out(agent, RECORD, &copy);
            begun.read(BufReader::new(File::open(copy)?))?;
        }
        let mut sets = BTreeMap::new();
        for name in COLLECTORS {
            let (_, set) = agreement::settled(name, self.channel(name).await, &begun, BOUNDS).await?;
            sets.insert(name.to_owned(), set);
        }
        agreement::equal(&sets)
    }
}

/// A temporary directory is closed to others; containers run as another user.
fn open_for_containers(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("the directory can be opened");
}

async fn connected(channel: Channel) -> usize {
    let agents = FleetClient::new(channel).list_agents(ListAgentsRequest {}).await;
    agents.map_or(0, |a| a.into_inner().agents.iter().filter(|a| a.connected).count())
}

/// Asks again and again until the answer is good or the time is over.
async fn eventually<T: std::fmt::Debug, F: Future<Output = T>>(
    what: &str,
    ask: impl Fn() -> F,
    good: impl Fn(&T) -> bool,
) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if good(&answer) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < end, "not within {PATIENCE:?}: {what}; last answer: {answer:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
