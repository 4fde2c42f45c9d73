//! Does the fleet do its job as containers, from the images and the compose file that ship?
//!
//! Builds the images, starts six agents, two collectors and the targets on two networks, takes region NL down and waits for
//! the verdict of both collectors. Where no Docker engine answers, the test says that it was skipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tonic::transport::Channel;
use uitwijk_identity::ClientOptions;
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::verdicts_client::VerdictsClient;
use uitwijk_proto::v1::{Cause, ListAgentsRequest, ListVerdictsRequest, Need, Verdict};
use uitwijk_tests::fleet::{pki, prepare};

const COLLECTORS: [&str; 2] = ["col-nl", "col-ie"];

/// A running compose project; taken down with everything it made when dropped.
struct Compose {
    command: Vec<String>,
    env: Vec<(&'static str, String)>,
    tag: String,
}

impl Compose {
    fn run(&self, args: &[&str]) -> Output {
        let (program, first) = self.command.split_first().expect("a command has a first word");
        let mut command = Command::new(program);
        command.args(first).args(["-f", "deploy/compose/compose.yaml", "-p", &self.tag]).args(args);
        command.envs(self.env.iter().map(|(k, v)| (k, v))).current_dir(root());
        command.output().expect("compose can be started")
    }

    fn must(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "compose {args:?}: {err}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The address on this machine of a container's port.
    fn address(&self, service: &str, port: u16) -> String {
        self.must(&["port", service, &port.to_string()])
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.run(&["logs", "--tail", "15", "--no-color"]);
            eprintln!("{}", String::from_utf8_lossy(&logs.stdout));
        }
        self.run(&["down", "--volumes", "--timeout", "20"]);
        for image in ["agent", "collector", "demo-targets"] {
            let _ = Command::new("docker").args(["image", "rm", &format!("uitwijk/{image}:{}", self.tag)]).output();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_of_containers_finds_the_outage() {
    let Some(command) = compose_command() else {
        eprintln!("skipped: no Docker engine with compose answers here");
        return;
    };
    let tag = format!("test-{}", std::process::id());
    let dir = tempfile::tempdir().expect("a directory can be made");
    let fleet = dir.path().join("fleet");
    prepare::prepare(&fleet, Duration::from_secs(1)).expect("the fleet can be prepared");
    open_for_containers(dir.path());
    build_images(&tag);
    let env = vec![
        ("UITWIJK_FLEET", fleet.display().to_string()),
        ("UITWIJK_TAG", tag.clone()),
        ("UITWIJK_SLOT", "1s".to_owned()),
        ("UITWIJK_CONTROL_PORT", "0".to_owned()),
        ("UITWIJK_NL_PORT", "0".to_owned()),
        ("UITWIJK_IE_PORT", "0".to_owned()),
    ];
    let compose = Compose { command, env, tag };
    compose.must(&["up", "-d"]);

    let mut channels = BTreeMap::new();
    for name in COLLECTORS {
        channels.insert(name, connect(&compose, &fleet, name).await);
    }
    for channel in channels.values() {
        eventually("six agents are connected", Duration::from_secs(60), || connected(channel.clone()), |n| *n == 6)
            .await;
    }
    // The judge's longest window is 30 slots of one second.
    tokio::time::sleep(Duration::from_secs(32)).await;
    turn(&compose.address("targets", 8080), "/region/NL/down").await;
    for (name, channel) in &channels {
        let verdicts = || exchange_verdicts(channel.clone());
        let needed = |v: &Vec<Verdict>| v.iter().any(|v| v.need() == Need::Needed && v.cause() == Cause::RegionDown);
        eventually(&format!("{name} finds a failover needed"), Duration::from_secs(90), verdicts, needed).await;
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// How compose is called here, if an engine answers.
fn compose_command() -> Option<Vec<String>> {
    let works = |words: &[&str]| Command::new(words[0]).args(&words[1..]).output().is_ok_and(|o| o.status.success());
    if !works(&["docker", "version", "--format", "{{.Server.Version}}"]) {
        return None;
    }
    let ways: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    let way = ways.into_iter().find(|way| works(&[way, &["version"][..]].concat()))?;
    Some(way.iter().map(|&word| word.to_owned()).collect())
}

fn build_images(tag: &str) {
    let built = Command::new("deploy/build-images").arg(tag).env("PROFILE", "dev").current_dir(root()).output();
    let built = built.expect("the build can be started");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// A temporary directory is closed to others; containers run as another user.
fn open_for_containers(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("the directory can be opened");
}

async fn connect(compose: &Compose, fleet: &Path, name: &str) -> Channel {
    let url = format!("https://{}", compose.address(name, prepare::GRPC_PORT));
    let credentials = pki::credentials(&fleet.join("pki"), "viewer").expect("the viewer has a certificate");
    let open = || async { uitwijk_identity::channel(&url, credentials.clone(), ClientOptions::default()).await.ok() };
    eventually(&format!("{name} answers"), Duration::from_secs(60), open, Option::is_some).await.expect("checked")
}

async fn connected(channel: Channel) -> usize {
    let agents = FleetClient::new(channel).list_agents(ListAgentsRequest {}).await;
    agents.map_or(0, |a| a.into_inner().agents.iter().filter(|a| a.connected).count())
}

async fn exchange_verdicts(channel: Channel) -> Vec<Verdict> {
    let request = ListVerdictsRequest { service: "exchange".to_owned(), ..ListVerdictsRequest::default() };
    VerdictsClient::new(channel).list(request).await.map(|v| v.into_inner().verdicts).unwrap_or_default()
}

async fn turn(address: &str, path: &str) {
    let address = address.parse().expect("docker tells an address");
    let answer = uitwijk_tests::world::forward::forward(address, "targets", path, Duration::from_secs(10)).await;
    assert!(answer.expect("the targets take a turn").status().is_success());
}

/// Asks again and again until the answer is good or the time is over.
async fn eventually<T: std::fmt::Debug, F: Future<Output = T>>(
    what: &str,
    within: Duration,
    ask: impl Fn() -> F,
    good: impl Fn(&T) -> bool,
) -> T {
    let end = tokio::time::Instant::now() + within;
    loop {
        let answer = ask().await;
        if good(&answer) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < end, "not within {within:?}: {what}; last answer: {answer:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
