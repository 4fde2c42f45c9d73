//! Files on disk: which sets are taken, and what becomes of new ones?
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod world;

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uitwijk_identity::{Authority, ClientOptions, Credentials, ServerLimits, TlsFiles, channel};
use uitwijk_model::{Clock as _, SystemClock};
use world::{DAY, MovedClock, Server, World, call, check, days, now, until};

fn write(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_set_that_cannot_be_used_is_refused_with_the_key_and_the_file() {
    let world = World::new();
    let good = world.agent_files(1);
    let other = world.files("other", &world.issue("uitwijk://viewer/other", &[], days(1)));
    let p = |name: &str| world.path().join(name);
    write(&p("empty.pem"), "");
    write(&p("garbage.pem"), "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    write(&p("cut.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n");
    write(&p("no-x509.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write(&p("no-key.pem"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    write(&p("large.pem"), vec![b'x'; (1 << 20) + 1]);
    let usage = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let nobody = world.authority.issue_uris("nobody", &[], usage, &[], days(1)).unwrap();
    let nobody = world.files("nobody", &nobody);
    let set = |ca: &str, cert: &Path, key: &Path| TlsFiles {
        ca_file: p(ca),
        cert_file: cert.to_owned(),
        key_file: key.to_owned(),
    };
    let (cert, key) = (good.cert_file.as_path(), good.key_file.as_path());
    let errors: Vec<String> = [
        set("missing.pem", cert, key),
        set("empty.pem", cert, key),
        set("garbage.pem", cert, key),
        set("cut.pem", cert, key),
        set("no-x509.pem", cert, key),
        set("large.pem", cert, key),
        set("ca.pem", &p("empty.pem"), key),
        set("ca.pem", &p("no-x509.pem"), key),
        set("ca.pem", key, key),
        set("ca.pem", cert, cert),
        set("ca.pem", cert, &p("no-key.pem")),
        set("ca.pem", cert, &other.key_file),
        nobody,
    ]
    .iter()
    .map(|files| Credentials::load(files, now()).unwrap_err().to_string())
    .collect();
    world.settled(|| insta::assert_snapshot!(errors.join("\n")));
}

#[test]
fn dates_are_checked_to_the_second_unless_told_otherwise() {
    let world = World::new();
    let files = world.agent_files(1);
    let clock = MovedClock::in_days(0);
    let credentials = Credentials::load(&files, clock.clone()).unwrap();
    let end = credentials.expires();
    clock.set(end);
    assert!(credentials.check_dates().is_ok());
    let mut errors = Vec::new();
    for at in [end.plus(uitwijk_model::Millis(1000)), SystemClock.wall().minus(DAY)] {
        clock.set(at);
        errors.push(credentials.check_dates().unwrap_err().to_string());
        assert!(Credentials::load(&files, clock.clone()).is_err());
        assert!(Credentials::load_at_any_time(&files, clock.clone()).is_ok());
    }
    world.settled(|| insta::assert_snapshot!(errors.join("\n")));
}

/// Puts another certificate and key in the place of those in use, as a mounted secret does.
fn replace(world: &World, files: &TlsFiles, issued: &uitwijk_identity::IssuedCertificate) {
    for (path, text) in [(&files.key_file, &issued.key_pem), (&files.cert_file, &issued.cert_pem)] {
        let new = world.path().join("new");
        write(&new, text);
        std::fs::rename(&new, path).unwrap();
    }
}

#[tokio::test]
async fn new_files_are_served_without_a_restart_and_open_connections_stay() {
    let world = World::new();
    let files = world.collector_files();
    let credentials = Credentials::load(&files, now()).unwrap();
    let stop = CancellationToken::new();
    let watcher = credentials.spawn_watcher(Duration::from_millis(5), stop.clone());
    let server = Server::start(credentials.clone(), ServerLimits::default()).await;
    let agent = world.agent();
    let open = channel(&server.url(), agent.clone(), ClientOptions::default()).await.unwrap();

    // Everything new, the authority too: who trusts the old one only is turned away from now on.
    let (before, renewed) = (credentials.fingerprint(), World::new());
    replace(&world, &files, &renewed.collector_certificate(5));
    until("the new certificate", || credentials.fingerprint() != before).await;
    assert_eq!((credentials.reloads(), *credentials.subscribe().borrow()), (1, 1));
    check(open).await.unwrap();
    let error = call(&server.url(), agent.clone()).await.unwrap_err();
    assert!(error.to_string().contains("not signed by an authority"), "{error}");

    replace(&world, &files, &world.collector_certificate(5));
    until("the third certificate", || credentials.reloads() == 2).await;
    call(&server.url(), agent).await.unwrap();
    stop.cancel();
    watcher.await.unwrap();
}

#[tokio::test]
async fn broken_new_files_keep_the_old_ones_and_are_counted_once() {
    let world = World::new();
    let files = world.collector_files();
    let credentials = Credentials::load(&files, now()).unwrap();
    let server = Server::start(credentials.clone(), ServerLimits::default()).await;
    let (agent, before) = (world.agent(), credentials.fingerprint());

    let (good_cert, good_key) = (std::fs::read(&files.cert_file).unwrap(), std::fs::read(&files.key_file).unwrap());
    let mut failures = 0;
    let mut yesterday = days(1);
    yesterday.not_before = yesterday.not_before.minus(uitwijk_model::Millis(DAY.0 * 3));
    yesterday.not_after = SystemClock.wall().minus(DAY);
    let expired = world.issue("uitwijk://collector/NL/col-nl", &["127.0.0.1"], yesterday);
    for (cert, key) in [
        (b"broken".to_vec(), good_key.clone()),
        (good_cert.clone(), expired.key_pem.clone().into_bytes()),
        (expired.cert_pem.clone().into_bytes(), expired.key_pem.clone().into_bytes()),
    ] {
        write(&files.cert_file, cert);
        write(&files.key_file, key);
        assert!(credentials.reload().is_err());
        assert!(credentials.reload().is_err());
        failures += 1;
        assert_eq!((credentials.reload_failures(), credentials.reloads()), (failures, 0));
        assert_eq!(credentials.fingerprint(), before);
        call(&server.url(), agent.clone()).await.unwrap();
    }
    std::fs::remove_file(&files.key_file).unwrap();
    assert!(credentials.reload().is_err());
    write(&files.cert_file, good_cert);
    write(&files.key_file, good_key);
    assert!(!credentials.reload().unwrap());
    assert_eq!(credentials.reload_failures(), 4);
}

#[test]
fn an_authority_is_kept_in_two_files_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let again = Authority::create("again", days(1)).unwrap().save(world.path()).unwrap_err();
    let bad_name =
        world.authority.issue(&world::identity("uitwijk://viewer/a"), &["not a host".to_owned()], days(1)).unwrap_err();
    let empty = tempfile::tempdir_in(world.path()).unwrap();
    let missing = Authority::load(empty.path()).unwrap_err();
    write(&empty.path().join("ca.pem"), "x");
    write(&empty.path().join("ca-key.pem"), "x");
    let broken = Authority::load(empty.path()).unwrap_err();
    let sub = format!("{}/", empty.path().file_name().unwrap().to_str().unwrap());
    let all = [again, bad_name, missing, broken].map(|error| error.to_string()).join("\n").replace(&sub, "sub/");
    world.settled(|| insta::assert_snapshot!(all));

    let mode = std::fs::metadata(world.path().join("ca-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let loaded = Authority::load(world.path()).unwrap();
    let issued = loaded.issue(&world::identity("uitwijk://viewer/a"), &[], days(1)).unwrap();
    assert!(Credentials::load(&world.files("a", &issued), now()).is_ok());
    assert!(!format!("{issued:?}").contains("PRIVATE"));
}
