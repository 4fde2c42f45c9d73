//! A collector as a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::{Home, LONG};

/// A running process; killed when the test ends.
pub struct Process {
    child: Child,
    ready: std::path::PathBuf,
}

/// How a process ended.
#[derive(Debug)]
pub struct Exit {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts it with the flags of a home and some more.
    pub fn spawn(home: &Home, more: &[&str]) -> Self {
        let ready = home.path("ready.json");
        let _ = std::fs::remove_file(&ready);
        let mut command = Command::new(env!("CARGO_BIN_EXE_uitwijk-collector"));
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        for (key, value) in home.flags() {
            command.arg(format!("--{}={value}", key.replace(['.', '_'], "-")));
        }
        command.arg(format!("--ready-file={}", ready.display())).args(more);
        Self { child: command.spawn().unwrap(), ready }
    }

    /// Waits until it serves, and tells where: gRPC and admin.
    pub async fn ready(&mut self) -> (std::net::SocketAddr, std::net::SocketAddr) {
        let text = tokio::time::timeout(LONG, async {
            loop {
                if let Ok(text) = std::fs::read_to_string(&self.ready) {
                    return text;
                }
                if let Some(status) = self.child.try_wait().unwrap() {
                    let mut text = String::new();
                    self.child.stderr.take().unwrap().read_to_string(&mut text).await.unwrap();
                    panic!("ended with {status} before it was ready:\n{text}");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let json: serde_json::Value = serde_json::from_str(&text.await.expect("it gets ready")).unwrap();
        let address = |key: &str| json[key].as_str().unwrap().parse().unwrap();
        (address("listen"), address("admin"))
    }

    pub fn ready_file(&self) -> &Path {
        &self.ready
    }

    /// Sends it a signal.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it still runs").to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub async fn exit(self) -> Exit {
        let output = tokio::time::timeout(LONG, self.child.wait_with_output()).await.expect("it ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Exit { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}
