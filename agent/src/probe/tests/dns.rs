//! Name servers: a small one on the loopback that gives every kind of answer.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType, rdata};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use uitwijk_model::Target;
use uitwijk_model::plan::{DnsProbe, DnsRecordType, IpFamily, ProbeKind};

use super::kit::{answer, attempt_in, brief, check, env, get, show, target, web};

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// What the zone says to a question; `None` is silence.
fn zone(asked: &Name, record: RecordType) -> Option<(ResponseCode, Vec<RData>)> {
    let records = match (asked.to_ascii().to_ascii_lowercase().as_str(), record) {
        ("silent.test.", _) | ("half.test.", RecordType::AAAA) => return None,
        ("broken.test.", _) => return Some((ResponseCode::ServFail, vec![])),
        ("refused.test.", _) => return Some((ResponseCode::Refused, vec![])),
        ("here.test.", RecordType::A) | ("half.test.", RecordType::A) => vec![RData::A(rdata::A::new(127, 0, 0, 1))],
        ("both.test.", RecordType::A) => vec![RData::A(rdata::A::new(127, 0, 0, 1))],
        ("both.test." | "six.test.", RecordType::AAAA) => vec![RData::AAAA(rdata::AAAA::new(0, 0, 0, 0, 0, 0, 0, 1))],
        ("many.test.", RecordType::TXT) => {
            (0..200).map(|i| RData::TXT(rdata::TXT::new(vec![format!("record number {i}")]))).collect()
        }
        ("text.test.", RecordType::TXT) => vec![RData::TXT(rdata::TXT::new(vec!["v=spf1 ".into(), "-all".into()]))],
        ("here.test.", RecordType::MX) => vec![RData::MX(rdata::MX::new(10, name("mail.test.")))],
        ("here.test.", RecordType::NS) => vec![RData::NS(rdata::NS(name("ns.test.")))],
        ("here.test." | "text.test." | "six.test." | "both.test.", _) => vec![],
        _ => return Some((ResponseCode::NXDomain, vec![])),
    };
    Some((ResponseCode::NoError, records))
}

fn respond(question: &[u8], truncate: bool) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let (code, records) = zone(query.name(), query.query_type())?;
    let mut response = Message::response(question.id, OpCode::Query);
    response.metadata.response_code = code;
    response.metadata.truncation = truncate && records.len() > 10;
    if !response.metadata.truncation {
        response.add_answers(records.into_iter().map(|data| Record::from_rdata(query.name().clone(), 60, data)));
    }
    response.add_query(query);
    Some(response.to_vec().unwrap())
}

/// A name server on UDP and TCP.
async fn name_server() -> SocketAddr {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (Arc::new(udp), tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 4096];
        while let Ok((n, from)) = udp.recv_from(&mut question).await {
            if let Some(response) = respond(&question[..n], true) {
                let _ = udp.send_to(&response, from).await;
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            while let Ok(length) = stream.read_u16().await {
                let mut question = vec![0; length.into()];
                let _ = stream.read_exact(&mut question).await;
                let Some(response) = respond(&question, false) else { continue };
                let _ = stream.write_u16(u16::try_from(response.len()).unwrap()).await;
                let _ = stream.write_all(&response).await;
            }
        }
    });
    address
}

fn dns(server: SocketAddr, name: &str, record: DnsRecordType, expect: &[&str]) -> Target {
    target(ProbeKind::Dns(DnsProbe {
        server: Some(server),
        name: name.to_owned(),
        record,
        expect: expect.iter().map(ToString::to_string).collect(),
    }))
}

#[tokio::test]
async fn a_dns_probe_tells_every_kind_of_answer_apart() {
    let server = name_server().await;
    use DnsRecordType::{A, Aaaa, Mx, Ns, Txt};
    for (name, record, expect, outcome) in [
        ("here.test", A, &[][..], "up"),
        ("HERE.test.", A, &["127.0.0.1"], "up"),
        ("here.test", A, &["127.0.0.2"], "down dns_answer"),
        ("six.test", Aaaa, &["0:0:0:0:0:0:0:1"], "up"),
        ("text.test", Txt, &["v=spf1 -all"], "up"),
        ("text.test", Txt, &["V=spf1 -all"], "down dns_answer"),
        ("here.test", Mx, &["10 MAIL.test"], "up"),
        ("here.test", Ns, &["ns.test", "other.test"], "down dns_answer"),
        ("here.test", Txt, &[], "down dns_answer"),
        ("here.test", Aaaa, &[], "down dns_no_address"),
        ("gone.test", A, &[], "down dns_name"),
        ("broken.test", A, &[], "down dns_server"),
        ("refused.test", A, &[], "down dns_server"),
    ] {
        check(&dns(server, name, record, expect), &format!("{outcome} - resolve")).await;
    }
    check(&brief(dns(server, "silent.test", A, &[])), "down dns_timeout - resolve").await;
}

#[tokio::test]
async fn an_answer_that_is_cut_is_asked_for_again_over_tcp() {
    let server = name_server().await;
    check(&dns(server, "many.test", DnsRecordType::Txt, &["record number 199"]), "up - resolve").await;
}

/// A request by name, resolved by a chosen server.
async fn lookup(host: &str, family: IpFamily, change: impl FnOnce(&mut Target)) -> String {
    let port = web(|_| answer(200, "")).await.port();
    let mut target = get(format!("http://{host}:{port}/"));
    target.probe.connect.family = family;
    target.probe.connect.resolver = Some(name_server().await);
    change(&mut target);
    show(&attempt_in(&env(), &target).await)
}

#[tokio::test]
async fn a_lookup_that_fails_is_told_with_its_reason() {
    let any = IpFamily::Any;
    assert_eq!(lookup("here.test", any, |_| {}).await, "up 200 resolve connect send processing transfer");
    assert_eq!(lookup("both.test", IpFamily::Ipv4, |_| {}).await, "up 200 resolve connect send processing transfer");
    assert_eq!(lookup("here.test", IpFamily::Ipv6, |_| {}).await, "down dns_no_address - resolve");
    assert_eq!(lookup("gone.test", any, |_| {}).await, "down dns_name - resolve");
    assert_eq!(lookup("text.test", any, |_| {}).await, "down dns_no_address - resolve");
    assert_eq!(lookup("broken.test", any, |_| {}).await, "down dns_server - resolve");
    assert_eq!(lookup("silent.test", any, |t| *t = brief(t.clone())).await, "down dns_timeout - resolve");
}

#[tokio::test]
async fn a_server_that_drops_one_kind_of_query_does_not_hide_the_other() {
    let started = std::time::Instant::now();
    assert_eq!(lookup("half.test", IpFamily::Any, |_| {}).await, "up 200 resolve connect send processing transfer");
    assert!(started.elapsed() < std::time::Duration::from_secs(4));
}

#[tokio::test]
async fn every_attempt_asks_anew() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let counting = tokio::spawn(async move {
        let mut question = [0; 4096];
        for asked in 1_u32.. {
            let (n, from) = server.recv_from(&mut question).await.unwrap();
            server.send_to(&respond(&question[..n], true).unwrap(), from).await.unwrap();
            if asked == 3 {
                return;
            }
        }
    });
    let env = env();
    for _ in 0..3 {
        let probe = dns(address, "here.test", DnsRecordType::A, &[]);
        assert_eq!(show(&attempt_in(&env, &probe).await), "up - resolve");
    }
    tokio::time::timeout(std::time::Duration::from_secs(5), counting).await.expect("three questions").unwrap();
}

#[tokio::test]
async fn the_resolver_file_and_its_search_list_are_used() {
    let server = name_server().await;
    // The file cannot name a port, so this only shows that a short name with a chosen server is taken as it is.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hosts"), "127.0.0.1 here.test gone.test\n").unwrap();
    std::fs::write(dir.path().join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    let env = env().with_resolver_files(dir.path().join("hosts"), dir.path().join("resolv.conf"));
    let port = web(|_| answer(200, "")).await.port();
    let mut target = get(format!("http://gone.test:{port}/"));
    assert_eq!(show(&attempt_in(&env, &target).await), "up 200 resolve connect send processing transfer");
    target.probe.connect.resolver = Some(server);
    assert_eq!(
        show(&attempt_in(&env, &target).await),
        "down dns_name - resolve",
        "a chosen resolver knows no hosts file"
    );
}
