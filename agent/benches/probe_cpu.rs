//! How much CPU does one HTTPS probe cost?
//!
//! A server runs in a process of its own, so that what is counted here is the prober alone: lookup of a literal
//! address, connection, a full TLS 1.3 handshake with verification of a P-256 chain, request, answer, checks. Run it with
//!
//! ```text
//! cargo bench -p uitwijk-agent --bench probe_cpu
//! ```

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use uitwijk_agent::probe::{Prober, ProberEnv};
use uitwijk_model::plan::{ConnectOptions, Expectation, HttpProbe, HttpVersion, Probe, ProbeKind, TlsOptions};
use uitwijk_model::{ControlId, Elapsed, Millis, Observer, Outcome, Slot, SystemClock, Target, TargetKind, WallTime};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|a| a == "--serve") {
        Some(at) => serve(Path::new(&arguments[at + 1])),
        // `cargo test --benches` only wants to know that it works.
        None => measure(if arguments.iter().any(|a| a == "--bench") { 4000 } else { 5 }),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn measure(probes: u32) -> Result<()> {
    let dir = tempfile::tempdir()?;
    issue(dir.path())?;
    let mut server =
        Command::new(std::env::current_exe()?).arg("--serve").arg(dir.path()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let address: SocketAddr = line.trim().parse()?;
    let measured = runtime()?.block_on(async {
        for (name, version) in [("HTTP/1.1", HttpVersion::Http11), ("HTTP/2", HttpVersion::Http2)] {
            one_version(name, &target(address, version, dir.path()), probes).await?;
        }
        Ok(())
    });
    server.kill()?;
    server.wait()?;
    measured
}

async fn one_version(name: &str, target: &Target, probes: u32) -> Result<()> {
    let prober = Prober::new(target, &ProberEnv::new(Arc::new(SystemClock)))?;
    let mut totals = Vec::new();
    let (mut cpu, mut began) = (cpu_ms()?, Instant::now());
    for i in 0..probes + probes / 10 {
        if i == probes / 10 {
            // The first tenth only warms up.
            (cpu, began) = (cpu_ms()?, Instant::now());
            totals.clear();
        }
        let found = prober.attempt(Slot(0), 0, WallTime::default(), Observer::default()).await;
        if found.outcome != Outcome::Up {
            return Err(format!("an attempt failed: {found:?}").into());
        }
        totals.extend(found.total.map(Elapsed::as_micros));
    }
    let spent = cpu_ms()? - cpu;
    totals.sort_unstable();
    println!(
        "{name:<9} {:.3} ms of CPU a probe ({probes} probes, fresh TLS 1.3 handshakes, {:.0} probes/s, median {} us, 99 % under {} us)",
        spent / f64::from(probes),
        f64::from(probes) / began.elapsed().as_secs_f64(),
        totals[totals.len() / 2],
        totals[totals.len() * 99 / 100],
    );
    Ok(())
}

/// CPU time of this process, user and system, in milliseconds.
fn cpu_ms() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold anything; the fields after it are numbers. The kernel counts in 10 ms here.
    let fields: Vec<&str> = stat.rsplit_once(')').ok_or("no name")?.1.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) * 10.0)
}

fn target(address: SocketAddr, version: HttpVersion, dir: &Path) -> Target {
    let http = HttpProbe {
        url: format!("https://{address}/health"),
        method: "GET".to_owned(),
        headers: std::collections::BTreeMap::new(),
        body: None,
        version,
        redirects_max: 0,
        body_bytes_max: 1024 * 1024,
        expect: Expectation { certificate_days_min: Some(14), ..Expectation::default() },
    };
    let kind = TargetKind::Control { control: ControlId::new("bench").expect("a name") };
    let probe = Probe {
        kind: ProbeKind::Http(Box::new(http)),
        timeout: Millis::from_secs(5),
        retries: 0,
        connect: ConnectOptions::default(),
        tls: TlsOptions { ca_file: Some(dir.join("ca.pem")), ..TlsOptions::default() },
        served: None,
    };
    Target { id: kind.id(), kind, probe, objective: Millis::from_secs(5) }
}

/// An authority and a certificate for the loopback, in files.
fn issue(dir: &Path) -> Result<()> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
    std::fs::write(dir.join("ca.pem"), authority.pem())?;
    std::fs::write(dir.join("chain.pem"), certificate.pem())?;
    std::fs::write(dir.join("key.pem"), key.serialize_pem())?;
    Ok(())
}

/// The other process: answers every request with 200 and a kilobyte.
fn serve(dir: &Path) -> Result<()> {
    let chain = CertificateDer::pem_file_iter(dir.join("chain.pem"))?.collect::<std::result::Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    runtime()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(stream).await else { return };
                let service = service_fn(|_| async {
                    Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from_static(&[b'x'; 1024]))))
                });
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), service).await;
            });
        }
    })
}
