//! How is one process of the fleet started, found, stopped and killed?

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tokio::process::{Child, Command};

/// How long a process may take to say that it serves.
const READY_TIME_MAX: Duration = Duration::from_secs(30);

/// What a process writes into its ready file.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    /// Its gRPC address; an agent has none.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// Its admin address.
    pub admin: SocketAddr,
}

/// How to start a process again and again.
#[derive(Debug, Clone)]
pub struct Program {
    /// The binary.
    pub binary: PathBuf,
    /// Its first argument: which part of the fleet to be.
    pub part: &'static str,
    /// The rest of its arguments.
    pub args: Vec<OsString>,
    /// Name for people and for the log file.
    pub name: String,
    /// Directory for its log and its ready file.
    pub dir: PathBuf,
    /// Environment, on top of ours without any `UITWIJK_*` and `OTEL_*`.
    pub env: Vec<(String, String)>,
}

/// A running process; ends with its owner.
pub struct Process {
    program: Program,
    child: Child,
}

impl Program {
    fn ready_file(&self) -> PathBuf {
        self.dir.join(format!("{}.ready", self.name))
    }

    /// The log that the process writes on its standard error.
    pub fn log_file(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name))
    }

    /// Starts it, without waiting until it serves.
    ///
    /// # Errors
    /// When the binary cannot be run.
    pub fn start(&self) -> anyhow::Result<Process> {
        let ready = self.ready_file();
        let _ = fs::remove_file(&ready);
        let log = File::options().create(true).append(true).open(self.log_file()).context("open the log file")?;
        let mut command = Command::new(&self.binary);
        command.arg(self.part).args(&self.args).arg("--ready-file").arg(&ready);
        for (key, _) in std::env::vars_os() {
            if key.to_str().is_some_and(|k| k.starts_with("UITWIJK_") || k.starts_with("OTEL_")) {
                command.env_remove(key);
            }
        }
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("start {}", self.binary.display()))?;
        Ok(Process { program: self.clone(), child })
    }
}

impl Process {
    /// Name for people.
    pub fn name(&self) -> &str {
        &self.program.name
    }

    /// Process id, none once it has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the process says that it serves.
    ///
    /// # Errors
    /// When it ends before, or does not say so in time; the message has the end of its log.
    pub async fn ready(&mut self) -> anyhow::Result<Ready> {
        self.ready_within(READY_TIME_MAX).await
    }

    /// The same with a time of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn ready_within(&mut self, most: Duration) -> anyhow::Result<Ready> {
        let path = self.program.ready_file();
        let poll = async {
            loop {
                if let Ok(text) = fs::read_to_string(&path) {
                    return serde_json::from_str(&text).with_context(|| format!("read {}", path.display()));
                }
                if let Some(status) = self.child.try_wait()? {
                    bail!("{} ended with {status}:\n{}", self.program.name, log_end(&self.program.log_file()));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(most, poll).await {
            Ok(ready) => ready,
            Err(_) => bail!(
                "{} did not become ready within {most:?}:\n{}",
                self.program.name,
                log_end(&self.program.log_file())
            ),
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process has ended or the signal cannot be sent.
    #[expect(unsafe_code, reason = "there is no safe way to send a signal other than KILL in the standard library")]
    pub fn signal(&self, signal: i32) -> anyhow::Result<()> {
        let id = i32::try_from(self.id().context("the process has ended")?)?;
        // SAFETY: kill(2) takes two numbers and touches no memory; the child is ours and not yet waited for.
        match unsafe { libc::kill(id, signal) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()).context("send a signal"),
        }
    }

    /// Asks it to stop and waits for it.
    ///
    /// # Errors
    /// When it does not stop within `grace`; it is killed then.
    pub async fn stop(&mut self, grace: Duration) -> anyhow::Result<ExitStatus> {
        if self.id().is_some() {
            self.signal(libc::SIGTERM)?;
        }
        match tokio::time::timeout(grace, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => {
                self.kill().await?;
                bail!("{} did not stop within {grace:?}:\n{}", self.program.name, log_end(&self.program.log_file()))
            }
        }
    }

    /// Kills it without warning (`kill -9`).
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill the process")
    }

    /// Starts it again after it ended.
    ///
    /// # Errors
    /// When it still runs or cannot be started.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_none() {
            bail!("{} still runs", self.program.name);
        }
        self.child = self.program.start()?.child;
        Ok(())
    }
}

/// The last lines of a log, for an error message.
pub fn log_end(path: &Path) -> String {
    let log = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
