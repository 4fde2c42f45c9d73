//! The agent as a process.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use uitwijk_identity::TlsFiles;

use super::{PATIENCE, until};

/// What an agent is started with.
pub struct Setup {
    pub dir: PathBuf,
    pub tls: TlsFiles,
    pub collectors: Vec<(String, String)>,
    /// Further lines of its file.
    pub more: String,
}

pub struct Agent {
    child: Child,
    pub admin: String,
    log: PathBuf,
}

impl Setup {
    pub fn new(dir: &Path, tls: &TlsFiles, collectors: &[(&str, String)]) -> Self {
        let collectors = collectors.iter().map(|(name, url)| ((*name).to_owned(), url.clone())).collect();
        Self { dir: dir.to_owned(), tls: tls.clone(), collectors, more: String::new() }
    }

    #[must_use]
    pub fn with(mut self, lines: &str) -> Self {
        self.more.push_str(lines);
        self
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn config_file(&self) -> PathBuf {
        let text = format!(
            "data_dir: {}\nadmin_listen: 127.0.0.1:0\ntls:\n  ca_file: {}\n  cert_file: {}\n  key_file: {}\ncollectors:\n{}{}",
            self.data_dir().display(),
            self.tls.ca_file.display(),
            self.tls.cert_file.display(),
            self.tls.key_file.display(),
            self.collectors.iter().map(|(n, u)| format!("  - {{name: {n}, url: '{u}'}}\n")).collect::<String>(),
            self.more
        );
        let path = self.dir.join("agent.yaml");
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uitwijk-agent"));
        for (name, _) in std::env::vars() {
            if name.starts_with("UITWIJK_") || name.starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        command.arg("--config").arg(self.config_file()).kill_on_drop(true).stdin(Stdio::null());
        command
    }

    /// Starts the agent and waits until it serves.
    pub async fn start(&self) -> Agent {
        let (ready, log) = (self.dir.join("ready"), self.dir.join("agent.log"));
        let _ = std::fs::remove_file(&ready);
        let out = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut command = self.command();
        command.arg("--ready-file").arg(&ready).stdout(out.try_clone().unwrap()).stderr(out);
        let child = command.spawn().unwrap();
        let shown = log.clone();
        let text = until("the agent serves", || {
            let text = std::fs::read_to_string(&ready).ok();
            if text.is_none() && std::fs::read_to_string(&shown).is_ok_and(|log| log.contains("uitwijk-agent: ")) {
                panic!("{}", std::fs::read_to_string(&shown).unwrap());
            }
            text
        })
        .await;
        let ready: serde_json::Value = serde_json::from_str(&text).unwrap();
        Agent { child, admin: ready["admin"].as_str().unwrap().to_owned(), log }
    }

    /// Runs the agent with these further arguments until it ends by itself.
    pub async fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.command().args(args).output();
        let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends by itself").unwrap();
        let text = [output.stdout, output.stderr].map(|part| String::from_utf8(part).unwrap()).concat();
        (output.status.code(), text.replace(self.dir.to_str().unwrap(), "DIR"))
    }
}

impl Agent {
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// What the system says of its memory.
    pub fn memory(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap()
    }

    pub fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.pid()).unwrap();
        #[expect(unsafe_code, reason = "the standard library can only kill")]
        // SAFETY: kill takes two numbers and touches no memory.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0);
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("the agent did not end:\n{}", self.log())).unwrap()
    }

    /// Stops in order.
    pub async fn stop(mut self) -> String {
        self.signal(libc::SIGTERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}:\n{}", self.log());
        self.log()
    }

    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks for an admin page: status and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// The value of a metric line that begins so.
    pub async fn metric(&self, begins: &str) -> Option<f64> {
        let (_, page) = self.get("/metrics").await;
        let line = page.lines().find(|line| line.starts_with(begins))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Waits until a log line says so.
    pub async fn logged(&self, text: &str) {
        until(&format!("log of {text:?}"), || self.log().contains(text).then_some(())).await;
    }
}
