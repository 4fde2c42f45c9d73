//! What is our own trouble is not the target's, and what cannot be probed is refused at once.

use uitwijk_model::Unmeasured;
use uitwijk_model::plan::{DnsProbe, DnsRecordType, GrpcProbe, ProbeKind, SecretText, TcpProbe, TlsProbe};

use super::kit::{answer, attempt, attempt_in, check, env, get, http, show, target, web};
use crate::probe::Prober;

#[tokio::test]
async fn a_missing_secret_says_nothing_of_the_target() {
    let address = web(|_| answer(200, "")).await;
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("token");
    let target = http(format!("http://{address}/"), |probe| {
        probe.headers.insert("x-token".to_owned(), SecretText::File(secret.clone()));
    });
    let measurement = attempt(&target).await;
    assert_eq!(measurement.outcome, uitwijk_model::Outcome::Unmeasured(Unmeasured::Local));
    assert_eq!(show(&measurement), "unmeasured local -");
    std::fs::write(&secret, "x\n").unwrap();
    check(&target, "up 200 connect send processing transfer").await;
    std::fs::write(&secret, "two\nlines").unwrap();
    check(&target, "unmeasured local -").await;
}

#[tokio::test]
async fn a_machine_without_resolver_says_nothing_of_the_target() {
    let dir = tempfile::tempdir().unwrap();
    let env = env().with_resolver_files(dir.path().join("hosts"), dir.path().join("resolv.conf"));
    let measurement = attempt_in(&env, &get("http://somewhere.test/")).await;
    assert_eq!(show(&measurement), "unmeasured local -");
    std::fs::write(dir.path().join("resolv.conf"), "search somewhere.test\n").unwrap();
    let measurement = attempt_in(&env, &get("http://somewhere.test/")).await;
    assert_eq!(show(&measurement), "unmeasured local -", "no name server in the file");
}

#[test]
fn what_cannot_be_probed_is_refused_by_key() {
    let tcp = |address: &str, expect: Option<&str>| {
        let (address, expect) = (address.to_owned(), expect.map(str::to_owned));
        target(ProbeKind::Tcp(TcpProbe { address, send: None, expect }))
    };
    let tls = target(ProbeKind::Tls(TlsProbe { address: "a.test".to_owned(), certificate_days_min: None }));
    let grpc = target(ProbeKind::Grpc(GrpcProbe { url: "a.test:1".to_owned(), service: String::new() }));
    let header = http("http://a.test/", |probe| {
        probe.headers.insert("a b".to_owned(), SecretText::Plain(String::new()));
    });
    for (target, message) in [
        (get("nowhere"), r#"url "nowhere" cannot be probed: write an absolute http:// or https:// URL"#),
        (tcp("a.test", None), r#"address "a.test" cannot be probed: write host:port"#),
        (tcp("a.test:1", Some("(")), r#"expect "(" cannot be probed: write a regular expression of the Rust kind"#),
        (tls, r#"address "a.test" cannot be probed: write host:port"#),
        (grpc, r#"url "a.test:1" cannot be probed: write https://host:port or http://host:port"#),
        (header, r#"headers "a b" cannot be probed: write the name of an HTTP header"#),
    ] {
        assert_eq!(Prober::new(&target, &env()).unwrap_err().to_string(), message);
    }
    let dns = DnsProbe { server: None, name: "a.test".to_owned(), record: DnsRecordType::A, expect: Vec::new() };
    assert!(Prober::new(&target(ProbeKind::Dns(dns)), &env()).is_ok());
}
