//! How does a test get a store that speaks S3, and how does that store fail?
//!
//! ```text
//!   the test     starts itself again, as a process with the variables of S3 in its environment
//!   that one     story --> collector, store --> gate, which does as the story says --> server
//! ```
//!
//! `UITWIJK_TEST_S3_SERVER` names the program `moto_server` (`pip install 'moto[server]'`). Where it is not set the test says so.

use std::env;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ObjectStore as _, ObjectStoreExt as _};

const PROGRAM: &str = "UITWIJK_TEST_S3_SERVER";
/// The address of the gate, for the process that tells the story.
const GATE: &str = "UITWIJK_TEST_S3_GATE";
/// The file that the process makes when it has told the story.
const TOLD: &str = "UITWIJK_TEST_S3_TOLD";
/// The bucket of every test.
pub(crate) const BUCKET: &str = "hours";
/// How long a server may take to answer for the first time.
const START: Duration = Duration::from_secs(60);

/// Tells a story with a server of its own. A process has one environment, and a story is told of one server: so it is told in another one.
pub(crate) fn with_server(story: &str, tell: impl FnOnce(Arc<Server>)) {
    if let Some(gate) = env::var_os(GATE) {
        tell(Arc::new(Server::start(gate.to_str().unwrap().parse().unwrap())));
        std::fs::write(env::var_os(TOLD).unwrap(), "told").unwrap();
        return;
    }
    if env::var_os(PROGRAM).is_none() {
        println!("skipped: {PROGRAM} names no moto_server");
        return;
    }
    let gate = free();
    let mut command = Command::new(env::current_exe().unwrap());
    for (name, _) in env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        name.starts_with("AWS_") || name.ends_with("_PROXY")
    }) {
        command.env_remove(name);
    }
    let home = tempfile::tempdir().unwrap();
    let told = home.path().join("told");
    let status = command
        .env(TOLD, &told)
        .args([story, "--exact", "--nocapture"])
        .env(GATE, gate.to_string())
        .env("AWS_ENDPOINT_URL", format!("http://{gate}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .status()
        .unwrap();
    assert!(status.success(), "{story}: its process ended with {status}");
    assert!(told.exists(), "there is no test named {story}");
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The server answers.
    Passes,
    /// The connection ends, as when nobody listens.
    Drops,
    /// The gate answers itself: a status and a code of S3.
    Answers(u16, &'static str),
    /// The answer of the server ends after so many bytes.
    EndsAfter(usize),
    /// Nobody answers, ever.
    Hangs,
}

/// Decides by the first line of a request.
type Judge = Box<dyn FnMut(&str) -> Fate + Send>;

/// A server with its gate.
pub(crate) struct Server {
    _process: Process,
    judge: Arc<Mutex<Judge>>,
    bucket: AmazonS3,
}

/// Ends with whoever has it, also when that panics.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    fn start(gate: SocketAddr) -> Self {
        let listener = TcpListener::bind(gate).unwrap();
        let server = free();
        let process = Command::new(env::var_os(PROGRAM).unwrap())
            .args(["-H", "127.0.0.1", "-p", &server.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut process = Process(process.unwrap());
        let began = Instant::now();
        while TcpStream::connect(server).is_err() {
            assert!(process.0.try_wait().unwrap().is_none() && began.elapsed() < START, "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        let made = ask(
            server,
            format!("PUT /{BUCKET} HTTP/1.1\r\nhost: s3\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").as_bytes(),
        );
        assert!(made.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&made));
        let judge: Arc<Mutex<Judge>> = Arc::new(Mutex::new(Box::new(|_| Fate::Passes)));
        let by = judge.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let by = by.clone();
                std::thread::spawn(move || pass(connection, server, &by));
            }
        });
        // The test looks into the bucket past the gate. Its client needs a provider before the collector chose one.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let endpoint = format!("http://{server}");
        let bucket = AmazonS3Builder::from_env().with_endpoint(endpoint).with_bucket_name(BUCKET).build().unwrap();
        Self { _process: process, judge, bucket }
    }

    /// From now on requests fare like this.
    pub(crate) fn fares(&self, fate: Fate) {
        self.judges(move |_| fate);
    }

    /// From now on this decides, by the first line of each request.
    pub(crate) fn judges(&self, judge: impl FnMut(&str) -> Fate + Send + 'static) {
        *self.judge.lock().unwrap() = Box::new(judge);
    }

    /// What lies in the bucket, in order.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let mut found: Vec<_> =
            self.bucket.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
        found.sort();
        found
    }

    /// Takes an object away behind everybody's back.
    pub(crate) async fn delete(&self, path: &str) {
        self.bucket.delete(&path.into()).await.unwrap();
    }
}

/// An address that nobody listens on.
fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// One request and its answer.
fn pass(mut from: TcpStream, server: SocketAddr, judge: &Mutex<Judge>) {
    let Some((line, request)) = request(&mut from) else { return };
    let fate = judge.lock().unwrap_or_else(PoisonError::into_inner)(&line);
    let answer = match fate {
        Fate::Passes => ask(server, &request),
        Fate::Drops => return,
        Fate::Answers(status, code) => {
            let body = format!("<Error><Code>{code}</Code><Message>as the story says</Message></Error>");
            let size = body.len();
            format!("HTTP/1.1 {status} no\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n{body}").into_bytes()
        }
        Fate::EndsAfter(bytes) => {
            let mut answer = ask(server, &request);
            let head = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
            answer.truncate(head + bytes);
            answer
        }
        Fate::Hangs => loop {
            std::thread::park();
        },
    };
    let _ = from.write_all(&answer);
    let _ = from.shutdown(Shutdown::Both);
}

/// A whole request, made one after which the connection ends; and its first line.
fn request(from: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 65_536]);
    loop {
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
            let header = |line: &str| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            };
            let body = text.lines().find_map(header).unwrap_or(0);
            if bytes.len() >= head + 4 + body {
                let line = text.lines().next()?.to_owned();
                let closing = [&bytes[..head], b"\r\nconnection: close", &bytes[head..]].concat();
                return Some((line, closing));
            }
        }
        match from.read(&mut piece) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&piece[..read]),
            _ => return None,
        }
    }
}

/// The answer to a request, as it came.
fn ask(server: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut to = TcpStream::connect(server).unwrap();
    to.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = to.read_to_end(&mut answer);
    answer
}
