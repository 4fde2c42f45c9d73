//! How does a fleet run from the images and the compose file that ship?

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A running compose project; taken down with everything it made when dropped.
pub(crate) struct Compose {
    command: Vec<String>,
    env: Vec<(&'static str, String)>,
    tag: String,
}

impl Compose {
    /// Builds the images and starts the project on a prepared fleet, if an engine with compose answers here.
    pub(crate) fn up(fleet: &Path) -> Option<Self> {
        let command = compose_command()?;
        let tag = format!("test-{}", std::process::id());
        build_images(&tag);
        let env = vec![
            ("UITWIJK_FLEET", fleet.display().to_string()),
            ("UITWIJK_TAG", tag.clone()),
            ("UITWIJK_SLOT", "1s".to_owned()),
            ("UITWIJK_CONTROL_PORT", "0".to_owned()),
            ("UITWIJK_NL_PORT", "0".to_owned()),
            ("UITWIJK_IE_PORT", "0".to_owned()),
        ];
        let compose = Self { command, env, tag };
        compose.must(&["up", "-d"]);
        Some(compose)
    }

    fn run(&self, args: &[&str]) -> Output {
        let (program, first) = self.command.split_first().expect("a command has a first word");
        let mut command = Command::new(program);
        command.args(first).args(["-f", "deploy/compose/compose.yaml", "-p", &self.tag]).args(args);
        command.envs(self.env.iter().map(|(k, v)| (k, v))).current_dir(root());
        command.output().expect("compose can be started")
    }

    /// What a command of compose prints.
    pub(crate) fn must(&self, args: &[&str]) -> String {
        checked("compose", args, &self.run(args))
    }

    /// The address on this machine of a container's port; another one after each start.
    pub(crate) fn address(&self, service: &str, port: u16) -> Option<String> {
        let output = self.run(&["port", service, &port.to_string()]);
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && text.contains(':') && !text.ends_with(":0")).then_some(text)
    }

    /// Does something with the container of a service, as in `docker VERB CONTAINER`.
    pub(crate) fn to_container(&self, verb: &str, service: &str) {
        docker(&[verb, &self.container(service)]);
    }

    /// Takes a service off a network.
    pub(crate) fn disconnect(&self, network: &str, service: &str) {
        docker(&["network", "disconnect", &self.network(network), &self.container(service)]);
    }

    /// Puts a service back on a network, under its name.
    pub(crate) fn connect(&self, network: &str, service: &str) {
        docker(&["network", "connect", "--alias", service, &self.network(network), &self.container(service)]);
    }

    /// Copies a file out of a container.
    pub(crate) fn copy_out(&self, service: &str, from: &str, to: &Path) {
        docker(&["cp", &format!("{}:{from}", self.container(service)), &to.display().to_string()]);
    }

    fn container(&self, service: &str) -> String {
        let id = self.must(&["ps", "-a", "-q", service]);
        assert!(!id.is_empty(), "{service} has no container");
        id
    }

    fn network(&self, name: &str) -> String {
        format!("{}_{name}", self.tag)
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

fn docker(args: &[&str]) -> String {
    checked("docker", args, &Command::new("docker").args(args).output().expect("docker can be started"))
}

fn checked(program: &str, args: &[&str], output: &Output) -> String {
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {err}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
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
