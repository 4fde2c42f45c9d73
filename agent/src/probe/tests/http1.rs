//! HTTP/1.1 without TLS: the phases, and every way in which a server can fail to answer.

use std::sync::{Arc, Mutex};

use serde_json::json;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use uitwijk_model::Millis;
use uitwijk_model::plan::{HttpVersion, IpFamily, SecretText};

use super::kit::{Closed, answer, attempt, brief, check, forever, get, http, raw, raw_at, show, web, with_headers};

/// Reads the request head, then writes the reply, then does what `end` says.
async fn reply(mut stream: TcpStream, text: &'static [u8]) -> TcpStream {
    read_head(&mut stream).await;
    stream.write_all(text).await.unwrap();
    stream
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut piece = [0; 512];
        let n = stream.read(&mut piece).await.unwrap();
        assert!(n > 0, "the probe sends a whole head");
        head.extend_from_slice(&piece[..n]);
    }
}

#[tokio::test]
async fn a_good_answer_has_all_its_phases() {
    let address = web(|_| answer(200, "hello")).await;
    check(&get(format!("http://{address}/")), "up 200 connect send processing transfer").await;
    check(&get(format!("http://localhost:{}/", address.port())), "up 200 resolve connect send processing transfer")
        .await;
}

#[tokio::test]
async fn the_request_is_what_the_plan_says() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let address = web({
        let seen = Arc::clone(&seen);
        move |request| {
            let header = |name: &str| request.headers().get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
            let line = format!("{} {}", request.method(), request.uri());
            seen.lock().unwrap().push((
                line,
                header("host"),
                header("user-agent"),
                header("x-key"),
                header("traceparent"),
            ));
            answer(200, "")
        }
    })
    .await;
    let plain = http(format!("http://{address}/a?b=c"), |probe| {
        probe.method = "PUT".to_owned();
        probe.headers.insert("x-key".to_owned(), SecretText::Plain("k".to_owned()));
    });
    attempt(&plain).await;
    let dressed = http(format!("http://{address}"), |probe| {
        probe.headers.insert("user-agent".to_owned(), SecretText::Plain("mine".to_owned()));
        probe.headers.insert("host".to_owned(), SecretText::Plain("shop.test".to_owned()));
    });
    attempt(&dressed).await;
    let seen = seen.lock().unwrap().clone();
    let agent = format!("uitwijk-agent/{}", env!("CARGO_PKG_VERSION"));
    let (line, host, user_agent, key, trace) = &seen[0];
    assert_eq!(
        (line.as_str(), host.as_str(), user_agent, key.as_str()),
        ("PUT /a?b=c", &*address.to_string(), &agent, "k")
    );
    assert_eq!((trace.len(), trace.starts_with("00-")), (55, true), "{trace}");
    let (line, host, user_agent, _, other_trace) = &seen[1];
    assert_eq!((line.as_str(), host.as_str(), user_agent.as_str()), ("GET /", "shop.test", "mine"));
    assert_ne!(trace, other_trace, "each attempt has a trace of its own");
}

#[tokio::test]
async fn a_right_answer_over_the_objective_is_slow() {
    let address = raw(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        forever().await;
    })
    .await;
    let mut target = get(format!("http://{address}/"));
    target.objective = Millis(20);
    let measurement = attempt(&target).await;
    assert_eq!(show(&measurement), "slow 200 connect send processing transfer");
    assert!(measurement.phases.wait.unwrap().as_millis() >= 29, "{measurement:?}");
    assert!(measurement.phases.send.unwrap().as_millis() < 20, "{measurement:?}");
}

#[tokio::test]
async fn the_time_of_the_body_is_transfer_and_not_wait() {
    let address = raw(|stream| async move {
        let mut stream = reply(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await;
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        stream.write_all(b"cd").await.unwrap();
        forever().await;
    })
    .await;
    let measurement = attempt(&get(format!("http://{address}/"))).await;
    assert_eq!(show(&measurement), "up 200 connect send processing transfer");
    assert!(measurement.phases.transfer.unwrap().as_millis() >= 29, "{measurement:?}");
}

#[tokio::test]
async fn a_refused_connection() {
    let closed = Closed::new();
    check(&get(format!("http://{}/", closed.address())), "down connect_refused - connect").await;
}

#[tokio::test]
async fn a_connection_that_nobody_answers() {
    // A queue of one that is full: the kernel drops every further SYN.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    for _ in 0..4 {
        let filler = tokio::time::timeout(std::time::Duration::from_millis(100), TcpStream::connect(address)).await;
        fillers.extend(filler.ok());
    }
    check(&brief(get(format!("http://{address}/"))), "down connect_timeout - connect").await;
}

#[tokio::test]
async fn a_request_that_is_not_taken() {
    let address = raw(|stream| async move {
        forever().await;
        drop(stream);
    })
    .await;
    let target = http(format!("http://{address}/"), |probe| {
        probe.method = "POST".to_owned();
        probe.body = Some(SecretText::Plain("x".repeat(16 * 1024 * 1024)));
    });
    check(&brief(target), "down send_timeout - connect send").await;
}

#[tokio::test]
async fn a_connection_that_is_reset_within_the_request() {
    let address = raw(|mut stream| async move {
        stream.read_exact(&mut [0; 1024]).await.unwrap();
        SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    })
    .await;
    let target = http(format!("http://{address}/"), |probe| {
        probe.method = "POST".to_owned();
        probe.body = Some(SecretText::Plain("x".repeat(16 * 1024 * 1024)));
    });
    check(&target, "down send_failed - connect send").await;
}

#[tokio::test]
async fn a_connection_that_is_closed_before_the_first_byte() {
    let address = raw(|mut stream| async move { read_head(&mut stream).await }).await;
    check(&get(format!("http://{address}/")), "down wait_closed - connect send processing").await;
    let reset = raw(|mut stream| async move {
        read_head(&mut stream).await;
        SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    })
    .await;
    check(&get(format!("http://{reset}/")), "down wait_closed - connect send processing").await;
}

#[tokio::test]
async fn an_answer_that_does_not_begin() {
    let address = raw(|mut stream| async move {
        read_head(&mut stream).await;
        forever().await;
    })
    .await;
    let measurement = attempt(&brief(get(format!("http://{address}/")))).await;
    assert_eq!(show(&measurement), "down wait_timeout - connect send processing");
    assert!(measurement.phases.wait.unwrap().as_millis() >= 100, "the wait lasts to the cut-off: {measurement:?}");
}

#[tokio::test]
async fn an_answer_that_begins_and_stalls() {
    for (text, status) in [
        (&b"HTTP/1.1 200 OK\r\nx-"[..], "-"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", "200"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "200"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "200"),
    ] {
        let address = raw(move |stream| async move {
            let _open = reply(stream, text).await;
            forever().await;
        })
        .await;
        let expected = format!("down transfer_timeout {status} connect send processing transfer");
        check(&brief(get(format!("http://{address}/"))), &expected).await;
    }
}

#[tokio::test]
async fn an_answer_that_begins_and_is_cut() {
    for (text, status) in [
        (&b"HTTP/1.1 200 OK\r\nx-"[..], "-"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "200"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab", "200"),
    ] {
        let address = raw(move |stream| async move {
            reply(stream, text).await;
        })
        .await;
        let expected = format!("down transfer_closed {status} connect send processing transfer");
        check(&get(format!("http://{address}/")), &expected).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http() {
    for text in [
        &b"SSH-2.0-OpenSSH_9.9\r\n"[..],
        b"HTTP/1.1 2xx OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nb\x00d: x\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
    ] {
        let address = raw(move |stream| async move {
            reply(stream, text).await;
        })
        .await;
        let expected = "down protocol - connect send processing transfer";
        check(&get(format!("http://{address}/")), expected).await;
    }
    let chunked = raw(|stream| async move {
        reply(stream, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").await;
    })
    .await;
    check(&get(format!("http://{chunked}/")), "down protocol 200 connect send processing transfer").await;
}

#[tokio::test]
async fn an_answer_over_the_limit() {
    let limited = |url: String| http(url, |probe| probe.body_bytes_max = 10);
    let too_large = "down transfer_too_large 200 connect send processing transfer";
    let announced = web(|_| answer(200, "x".repeat(11))).await;
    check(&limited(format!("http://{announced}/")), too_large).await;
    let streamed = raw(|stream| async move {
        reply(stream, b"HTTP/1.1 200 OK\r\n\r\n01234567890123").await;
        forever().await;
    })
    .await;
    check(&limited(format!("http://{streamed}/")), too_large).await;
    let exact = web(|_| answer(200, "x".repeat(10))).await;
    check(&limited(format!("http://{exact}/")), "up 200 connect send processing transfer").await;
    let head = web(|_| with_headers(200, &[("x-long", &"x".repeat(100_000))], "")).await;
    let expected = "down transfer_too_large - connect send processing transfer";
    check(&get(format!("http://{head}/")), expected).await;
}

#[tokio::test]
async fn a_body_without_length_ends_with_the_connection() {
    let address = raw(|stream| async move {
        reply(stream, b"HTTP/1.0 200 OK\r\n\r\nhello").await;
    })
    .await;
    let target = http(format!("http://{address}/"), |probe| {
        probe.expect = serde_json::from_value(json!({"body": [{"contains": "hello"}]})).unwrap();
    });
    check(&target, "up 200 connect send processing transfer").await;
}

#[tokio::test]
async fn an_interim_response_is_not_the_answer() {
    let address = raw(|stream| async move {
        reply(stream, b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").await;
        forever().await;
    })
    .await;
    check(&get(format!("http://{address}/")), "up 204 connect send processing transfer").await;
}

#[tokio::test]
async fn a_complete_answer_that_is_not_the_right_one() {
    let address = web(|_| with_headers(404, &[("server", "one")], r#"{"state":"down"}"#)).await;
    let phases = "404 connect send processing transfer";
    for (expect, outcome) in [
        (json!({}), "down http_status"),
        (json!({"status": ["404"]}), "up"),
        (
            json!({"status": ["404"], "headers": [{"name": "server", "matches": "^two$", "absent": false}]}),
            "down http_header",
        ),
        (json!({"status": ["404"], "body": [{"contains": "down"}]}), "up"),
        (json!({"status": ["404"], "body": [{"not_contains": "down"}]}), "down wrong_body"),
        (json!({"status": ["404"], "body": [{"matches": "^\\{.*up"}]}), "down wrong_body"),
        (json!({"status": ["404"], "body": [{"json": {"pointer": "/state", "equals": "up"}}]}), "down wrong_body"),
    ] {
        let target = http(format!("http://{address}/"), |probe| {
            probe.expect = serde_json::from_value(expect).unwrap();
        });
        check(&target, &format!("{outcome} {phases}")).await;
    }
}

#[tokio::test]
async fn ipv6_and_the_choice_of_a_family() {
    let Ok(address) = raw_at("[::1]:0", |stream| async move {
        reply(stream, b"HTTP/1.1 204 No Content\r\n\r\n").await;
        forever().await;
    })
    .await
    else {
        eprintln!("no IPv6 on this machine, nothing to test");
        return;
    };
    check(&get(format!("http://{address}/")), "up 204 connect send processing transfer").await;
    let by_name = |family| {
        let mut target = get(format!("http://localhost:{}/", address.port()));
        target.probe.connect.family = family;
        target
    };
    check(&by_name(IpFamily::Ipv6), "up 204 resolve connect send processing transfer").await;
    // The port is taken on ::1 only; another test may have it on 127.0.0.1, so hold it there.
    let held = TcpSocket::new_v4().unwrap();
    if held.bind(format!("127.0.0.1:{}", address.port()).parse().unwrap()).is_ok() {
        check(&by_name(IpFamily::Ipv4), "down connect_refused - resolve connect").await;
    }
}

#[tokio::test]
async fn a_dead_first_address_costs_no_more_than_its_refusal() {
    // localhost is ::1 first; the server is on 127.0.0.1 only.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _open = reply(stream, b"HTTP/1.1 204 No Content\r\n\r\n").await;
        forever().await;
    });
    check(&get(format!("http://localhost:{port}/")), "up 204 resolve connect send processing transfer").await;
    server.abort();
}

#[tokio::test]
async fn http2_by_prior_knowledge_needs_no_tls() {
    let address =
        web(|request| answer(if request.version() == ::http::Version::HTTP_2 { 200 } else { 500 }, "ok")).await;
    let target = http(format!("http://{address}/"), |probe| probe.version = HttpVersion::Http2);
    check(&target, "up 200 connect send processing transfer").await;
}
