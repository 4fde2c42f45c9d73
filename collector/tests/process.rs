//! How does the process start, refuse to start, reload and stop?

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod support;

use support::process::{Exit, Process};
use support::{Home, PLAN, eventually, page};

/// Without times, colours and the directory of the test.
fn plain(home: &Home, text: &str) -> String {
    text.replace(&home.dir.path().display().to_string(), "DIR")
}

async fn refused(home: &Home, more: &[&str]) -> String {
    let Exit { code, stderr, .. } = Process::spawn(home, more).exit().await;
    assert_eq!(code, Some(1), "{stderr}");
    plain(home, &stderr)
}

#[tokio::test]
async fn a_stop_signal_stops_in_order() {
    for signal in ["TERM", "INT"] {
        let home = Home::new();
        let mut process = Process::spawn(&home, &[]);
        let (_, admin) = process.ready().await;
        assert_eq!(page(admin, "/-/ready").await, (200, "ready\n".to_owned()));
        process.signal(signal).await;
        let ready_file = process.ready_file().to_owned();
        let exit = process.exit().await;
        assert_eq!(exit.code, Some(0), "{signal}: {}", exit.stderr);
        assert!(exit.stderr.contains("the collector has stopped"), "{}", exit.stderr);
        assert!(!ready_file.exists());
    }
}

#[tokio::test]
async fn a_broken_plan_is_not_started_with_and_all_its_mistakes_are_told() {
    let home = Home::new();
    let plan = PLAN.replace("slot: 10s", "slot: 10").replace("active_region: NL", "active_regio: NL");
    std::fs::write(home.path("plan.yaml"), plan).unwrap();
    let stderr = refused(&home, &[]).await;
    assert!(stderr.contains("slot") && stderr.contains("active_regio"), "{stderr}");
    assert!(!home.path("data").exists(), "nothing is touched");
}

#[tokio::test]
async fn a_broken_plan_does_not_replace_the_one_in_force() {
    let home = Home::new();
    let mut process = Process::spawn(&home, &[]);
    let (_, admin) = process.ready().await;
    let shows = async |line: &str| page(admin, "/metrics").await.1.lines().any(|l| l == line);

    std::fs::write(home.path("plan.yaml"), "name: [\n").unwrap();
    process.signal("HUP").await;
    eventually("the reload is counted as failed", || shows("uitwijk_collector_last_reload_successful 0")).await;
    assert!(shows("uitwijk_collector_plan_revision 1").await);

    std::fs::write(home.path("plan.yaml"), PLAN.replace("revision: 1", "revision: 2")).unwrap();
    process.signal("HUP").await;
    eventually("the mended plan is in force", || shows("uitwijk_collector_plan_revision 2")).await;
    assert!(shows("uitwijk_collector_last_reload_successful 1").await);

    process.signal("TERM").await;
    let exit = process.exit().await;
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert!(exit.stderr.contains("the one before stays in force"), "{}", exit.stderr);
}

#[tokio::test]
async fn a_second_signal_ends_a_stop_that_waits() {
    let home = Home::new();
    let mut process = Process::spawn(&home, &["--stop-grace=10m"]);
    let (listen, _) = process.ready().await;
    // A call that never ends by itself keeps the stop waiting.
    let channel = support::connect_to(listen, home.credentials(&support::viewer())).await.unwrap();
    let _open = support::reflect(channel).await;
    process.signal("TERM").await;
    let gone = process.ready_file().to_owned();
    eventually("the stop has begun", || {
        let gone = gone.clone();
        async move { !gone.exists() }
    })
    .await;
    process.signal("TERM").await;
    let exit = process.exit().await;
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(exit.stderr.contains("stopped at once by a second signal (SIGTERM)"), "{}", exit.stderr);
}

#[tokio::test]
async fn a_stop_that_takes_too_long_is_ended_and_told() {
    let home = Home::new();
    let mut process = Process::spawn(&home, &["--stop-grace=1s"]);
    let (listen, _) = process.ready().await;
    let channel = support::connect_to(listen, home.credentials(&support::viewer())).await.unwrap();
    let _open = support::reflect(channel).await;
    process.signal("TERM").await;
    let exit = process.exit().await;
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(exit.stderr.contains("the stop took longer than 1s while it was ending open calls"), "{}", exit.stderr);
}

#[tokio::test]
async fn what_the_operator_has_to_mend_is_told_with_its_key() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let stderr = refused(&home, &[&format!("--listen={taken}")]).await;
    assert!(stderr.contains(&format!("cannot listen on {taken}: Address already in use")), "{stderr}");
    assert!(stderr.contains("(listen)"), "{stderr}");

    let stderr = refused(&home, &["--data-dir=/sys/uitwijk"]).await;
    assert!(stderr.contains("/sys/uitwijk") && stderr.contains("data_dir"), "{stderr}");

    let stderr = refused(&home, &["--name=col-ie"]).await;
    assert!(stderr.contains("name is col-ie, but the certificate is for col-nl"), "{stderr}");

    let stderr = refused(&home, &["--plan-file=nowhere.yaml"]).await;
    assert!(stderr.contains("cannot read the plan nowhere.yaml"), "{stderr}");

    let stderr = refused(&home, &["--log-filter=info,[["]).await;
    assert!(stderr.contains("log.filter"), "{stderr}");
}

#[tokio::test]
async fn data_of_a_newer_version_is_left_alone() {
    let home = Home::new();
    home.start().await.stop("test").await.unwrap();
    let format = home.path("data/store/format");
    let known = std::fs::read(&format).unwrap();
    std::fs::write(&format, "uitwijk-collector store 99\n").unwrap();
    let stderr = refused(&home, &[]).await;
    assert!(stderr.contains("DIR/data/store has format 99"), "{stderr}");

    std::fs::write(&format, known).unwrap();
    let log = fjall::Database::builder(home.path("data/verdicts")).open().unwrap();
    log.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap().insert("version", "99").unwrap();
    log.persist(fjall::PersistMode::SyncAll).unwrap();
    drop(log);
    let stderr = refused(&home, &[]).await;
    assert!(stderr.contains("DIR/data/verdicts has version 99, this collector knows version 1"), "{stderr}");
}

#[tokio::test]
async fn two_collectors_do_not_share_a_directory() {
    let home = Home::new();
    let first = home.start().await;
    let stderr = refused(&home, &[]).await;
    assert!(stderr.contains("another process") && stderr.contains("data_dir"), "{stderr}");
    first.stop("test").await.unwrap();
}

#[tokio::test]
async fn check_and_print_touch_nothing() {
    let home = Home::new();
    let exit = Process::spawn(&home, &["--check"]).exit().await;
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(0), "configuration, certificate and plan are good\n"));
    let exit = Process::spawn(&home, &["--print-config"]).exit().await;
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert!(exit.stdout.contains("stop_grace: 20s"), "{}", exit.stdout);
    assert!(!home.path("data").exists());

    std::fs::write(home.path("plan.yaml"), "name: [\n").unwrap();
    std::fs::write(&home.tls.key_file, "not a key").unwrap();
    let stderr = refused(&home, &["--check"]).await;
    assert!(stderr.contains("plan.yaml") && stderr.contains("-key.pem"), "both are told: {stderr}");
}

#[tokio::test]
async fn a_wrong_command_line_is_exit_code_2() {
    let home = Home::new();
    let exit = Process::spawn(&home, &["--listenn=x"]).exit().await;
    assert_eq!(exit.code, Some(2));
    assert!(exit.stderr.contains("--listen"), "{}", exit.stderr);
}
