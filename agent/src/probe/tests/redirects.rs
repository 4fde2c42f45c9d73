//! Redirects: what is followed, what is not, and what is told of the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uitwijk_model::plan::SecretText;
use uitwijk_model::{Elapsed, Target};

use super::kit::{Closed, answer, attempt, check, http, show, web, with_headers};

fn following(url: String, redirects_max: u8) -> Target {
    http(url, |probe| probe.redirects_max = redirects_max)
}

/// `/0` leads to `/1` and so on until `/end`.
async fn chain(end: u32) -> std::net::SocketAddr {
    web(move |request| {
        let at: u32 = request.uri().path().trim_start_matches('/').parse().unwrap();
        if at == end { answer(200, "there") } else { with_headers(302, &[("location", &(at + 1).to_string())], "") }
    })
    .await
}

#[tokio::test]
async fn redirects_are_followed_and_listed() {
    let address = chain(2).await;
    let measurement = attempt(&following(format!("http://{address}/0"), 5)).await;
    assert_eq!(show(&measurement), "up 200 connect send processing transfer");
    let statuses: Vec<_> = measurement.hops.iter().map(|hop| hop.http_status).collect();
    assert_eq!(statuses, [302, 302]);
    let hops: u64 = measurement.hops.iter().map(|hop| hop.elapsed.as_micros()).sum();
    let last: u64 = measurement.phases.named().iter().filter_map(|(_, p)| p.map(Elapsed::as_micros)).sum();
    assert!(hops > 0 && hops + last <= measurement.total.unwrap().as_micros(), "{measurement:?}");
}

#[tokio::test]
async fn a_redirect_that_is_not_to_be_followed_is_the_answer() {
    let address = chain(2).await;
    check(&following(format!("http://{address}/0"), 0), "down http_status 302 connect send processing transfer").await;
    let accepted = http(format!("http://{address}/0"), |probe| {
        probe.expect = serde_json::from_value(serde_json::json!({"status": ["302"]})).unwrap();
    });
    check(&accepted, "up 302 connect send processing transfer").await;
}

#[tokio::test]
async fn a_loop_or_too_long_a_way_ends() {
    let address = chain(4).await;
    let measurement = attempt(&following(format!("http://{address}/0"), 3)).await;
    assert_eq!(show(&measurement), "down redirect 302 connect send processing transfer");
    assert_eq!(measurement.hops.len(), 3);
    check(&following(format!("http://{address}/0"), 4), "up 200 connect send processing transfer").await;
    let circle = web(|_| with_headers(308, &[("location", "/")], "")).await;
    let measurement = attempt(&following(format!("http://{circle}/"), 20)).await;
    assert_eq!(
        (show(&measurement).as_str(), measurement.hops.len()),
        ("down redirect 308 connect send processing transfer", 20)
    );
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere() {
    for headers in
        [&[][..], &[("location", "ftp://elsewhere.test/")], &[("location", "http://[")], &[("location", "http:///")]]
    {
        let headers: Vec<(&'static str, &'static str)> = headers.to_vec();
        let address = web(move |_| with_headers(301, &headers, "")).await;
        check(&following(format!("http://{address}/"), 5), "down redirect 301 connect send processing transfer").await;
    }
}

#[tokio::test]
async fn a_redirect_to_a_dead_host_tells_of_that_host() {
    let closed = Closed::new();
    let to = format!("http://{}/", closed.address());
    let address = web(move |_| with_headers(302, &[("location", &to)], "")).await;
    let measurement = attempt(&following(format!("http://{address}/"), 5)).await;
    assert_eq!(show(&measurement), "down connect_refused 302 connect");
    assert_eq!(measurement.hops.len(), 1);
}

#[tokio::test]
async fn another_host_does_not_get_our_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "t0ken\n").unwrap();
    let leaked = Arc::new(AtomicBool::new(false));
    let other = web({
        let leaked = Arc::clone(&leaked);
        move |request| {
            let headers = request.headers();
            leaked
                .fetch_or(headers.contains_key("x-token") || headers.contains_key("authorization"), Ordering::Relaxed);
            answer(if headers.contains_key("x-plain") { 200 } else { 500 }, "")
        }
    })
    .await;
    let to = format!("http://{other}/");
    let first = web(move |request| match request.headers().get("x-token") {
        Some(token) if token == "t0ken" => with_headers(307, &[("location", &to)], ""),
        _ => answer(403, ""),
    })
    .await;
    let target = http(format!("http://{first}/"), |probe| {
        probe.redirects_max = 1;
        probe.headers.insert("x-token".to_owned(), SecretText::File(token.clone()));
        probe.headers.insert("authorization".to_owned(), SecretText::Plain("Basic x".to_owned()));
        probe.headers.insert("x-plain".to_owned(), SecretText::Plain("1".to_owned()));
    });
    check(&target, "up 200 connect send processing transfer").await;
    assert!(!leaked.load(Ordering::Relaxed));
}
