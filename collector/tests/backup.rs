//! Is a backup of a running collector whole, and does a collector that is made of it hold the same?

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::Digest as _;
use support::agent::Seen;
use support::fleet::Fleet;
use support::{Home, PLAN, eventually, page, viewer};
use tonic::transport::Channel;
use uitwijk_model::SystemClock;
use uitwijk_proto::v1;
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::measurements_client::MeasurementsClient;
use uitwijk_proto::v1::verdicts_client::VerdictsClient;

const SHADOW: &str = "shadow: { eager: { hard_duration: 60s } }\n";
/// NL is down for a while.
const DOWN: std::ops::Range<u64> = 100..400;
/// The hour is over, and sealed when the collector starts again.
const LATER: u64 = 4 * 3600;

fn world(target: &str, seconds: u64) -> Seen<'static> {
    match target.rsplit_once('@').map(|(_, place)| place) {
        Some("NL" | "public") if DOWN.contains(&seconds) => Seen::Refused,
        Some("IE") => Seen::Up(Some("IE")),
        Some(_) => Seen::Up(Some("NL")),
        None => Seen::Up(None),
    }
}

/// A fleet with measurements in files and in the hot store, verdicts, a shadow and a plan.
async fn fleet() -> Fleet {
    let mut fleet = Fleet::begin(&format!("{PLAN}{SHADOW}"), world).await;
    fleet.run(0, 600).await;
    sealed(fleet).await
}

/// The same in small.
async fn small_fleet() -> Fleet {
    let mut fleet = Fleet::begin(&format!("{PLAN}{SHADOW}"), |target, seconds| world(target, seconds + 110)).await;
    fleet.run(0, 60).await;
    sealed(fleet).await
}

/// Its first hour is over.
async fn sealed(mut fleet: Fleet) -> Fleet {
    fleet.run(LATER, LATER + 60).await;
    fleet.stop().await;
    fleet.connect().await;
    let admin = fleet.collector().addresses().admin;
    let sealed = |text: &str| {
        let rows = text.lines().find_map(|line| line.strip_prefix("uitwijk_collector_cold_rows "));
        rows.is_some_and(|rows| rows != "0")
    };
    eventually("the hour is sealed", || async move { sealed(&page(admin, "/metrics").await.1) }).await;
    fleet.run(LATER + 60, LATER + 120).await;
    fleet
}

/// Runs a command of the collector's binary: how it ended, and what it said.
async fn command(args: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_uitwijk-collector"));
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true).args(args);
    let output = tokio::time::timeout(support::LONG, command.output()).await.expect("it ends").unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), said.concat())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn backup(fleet: &Fleet, to: &Path) -> (Option<i32>, String) {
    let url = format!("https://{}", fleet.collector().addresses().listen);
    let settings: Vec<String> = fleet
        .home
        .flags()
        .into_iter()
        .map(|(key, value)| format!("--{}={value}", key.replace(['.', '_'], "-")))
        .collect();
    let mut args = vec!["backup", "--to", text(to), "--collector", &url];
    args.extend(settings.iter().map(String::as_str));
    command(&args).await
}

async fn verify(dir: &Path) -> (Option<i32>, String) {
    command(&["verify", "--dir", text(dir)]).await
}

async fn restore(from: &Path, to: &Path) -> (Option<i32>, String) {
    command(&["restore", "--from", text(from), "--to", text(to)]).await
}

fn good((code, said): (Option<i32>, String)) -> String {
    assert_eq!(code, Some(0), "{said}");
    said
}

/// Everything that a collector answers about what it holds.
async fn holds(channel: Channel) -> (Vec<v1::Measurement>, Vec<v1::BootLedger>, Vec<v1::Verdict>) {
    let query = v1::QueryRequest { from_us: i64::MIN, to_us: i64::MAX, page_size: 10_000, ..Default::default() };
    let rows = MeasurementsClient::new(channel.clone()).query(query).await.unwrap().into_inner().measurements;
    let request = v1::ListLedgersRequest::default();
    let mut stream = FleetClient::new(channel.clone()).list_ledgers(request).await.unwrap().into_inner();
    let mut ledgers = Vec::new();
    while let Some(ledger) = stream.message().await.unwrap() {
        ledgers.push(ledger);
    }
    let list = v1::ListVerdictsRequest { page_size: 1000, ..Default::default() };
    let verdicts = VerdictsClient::new(channel).list(list).await.unwrap().into_inner().verdicts;
    (rows, ledgers, verdicts)
}

/// Every file below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_copied_comes_back_and_every_flipped_byte_is_found() {
    let mut fleet = fleet().await;
    let (copy, data) = (fleet.home.path("backup"), fleet.home.path("restored"));
    let said = good(backup(&fleet, &copy).await);
    let before = holds(fleet.as_(&viewer()).await).await;
    assert_eq!(before.0.len(), 36 * (60 + 6 + 6));
    assert!(!before.2.is_empty(), "there are verdicts to be copied");

    let checked = good(verify(&copy).await);
    for line in said.lines().filter(|line| line.starts_with("  hot store") || line.starts_with("  verdicts")) {
        assert!(checked.contains(line), "{line} is not in\n{checked}");
    }
    assert!(checked.contains("6 boots, 2592 rows\n"), "{checked}");
    good(restore(&copy, &data).await);
    assert!(good(verify(&data).await).contains("6 boots, 2592 rows\n"));

    // Somebody uses it.
    fleet.stop().await;
    let again = fleet.home.try_start(&[("data_dir", text(&data))], fleet.clock.clone()).await.unwrap();
    let after = holds(fleet.home.channel(&again, &viewer()).await).await;
    again.stop("test").await.unwrap();
    assert_eq!(after.0, before.0, "measurements");
    assert_eq!(after.1, before.1, "ledgers");
    assert_eq!(after.2, before.2, "verdicts");
    assert!(good(verify(&data).await).contains("shadows"), "the shadows went along");

    closed_to_others(&copy);
    closed_to_others(&data);
    without_verdicts(&fleet.home, &copy, &before.0).await;
    somebody_else(&fleet.home, &data).await;
    newer(&fleet.home, &copy).await;
    every_flip_is_found(&fleet.home, &copy).await;
    unfinished(&fleet.home, &copy).await;
}

/// Nothing that a command made is for others to read.
fn closed_to_others(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir), 0o700, "{}", dir.display());
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // What the collector made since, and what its databases make, lies behind a folder that is closed.
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

/// The log of the verdicts is damaged in the only backup: the measurements come back all the same.
async fn without_verdicts(home: &Home, copy: &Path, rows: &[v1::Measurement]) {
    let path = copy.join("verdicts.records");
    let was = fs::read(&path).unwrap();
    flip(&path);
    let to = home.path("without");
    let (code, said) = restore(copy, &to).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("verdicts.records is not what was written"), "{said}");
    assert!(said.contains("--without-verdicts"), "{said}");
    fs::remove_dir_all(&to).unwrap();
    let said = good(command(&["restore", "--from", text(copy), "--to", text(&to), "--without-verdicts"]).await);
    assert!(said.contains("the verdict log begins anew"), "{said}");
    fs::write(path, was).unwrap();
    let checked = good(verify(&to).await);
    assert!(checked.contains("note: there is no verdict log"), "{checked}");
    let clock = support::HandClock::at(uitwijk_model::WallTime::from_micros(rows.last().unwrap().scheduled_us));
    let again = home.try_start(&[("data_dir", text(&to))], clock).await.unwrap();
    let found = holds(home.channel(&again, &viewer()).await).await;
    again.stop("test").await.unwrap();
    assert_eq!(found.0, rows);
}

/// A directory that was made from the backup of one collector is for no other.
async fn somebody_else(home: &Home, data: &Path) {
    let path = data.join("restored.json");
    let was = fs::read_to_string(&path).unwrap();
    fs::write(&path, was.replace("col-nl", "col-ie")).unwrap();
    let refused = home.try_start(&[("data_dir", text(data))], std::sync::Arc::new(SystemClock)).await;
    let said = refused.unwrap_err().to_string();
    for part in ["col-ie", "col-nl", "data_dir", "tls.cert_file"] {
        assert!(said.contains(part), "{said}");
    }
    fs::write(&path, was).unwrap();
}

/// A store of a later release is refused before anything is made of it.
async fn newer(home: &Home, copy: &Path) {
    let (manifest, sum) = (copy.join("manifest.json"), copy.join("manifest.sha256"));
    let was = [&manifest, &sum].map(|path| fs::read_to_string(path).unwrap());
    assert!(was[0].contains("\"store_format\": 2"), "{}", was[0]);
    let later = was[0].replace("\"store_format\": 2", "\"store_format\": 3");
    let digest: String = sha2::Sha256::digest(&later).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(&manifest, later).unwrap();
    fs::write(&sum, format!("{digest}  manifest.json\n")).unwrap();
    for (code, said) in [verify(copy).await, restore(copy, &home.path("never")).await] {
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("a store of format 3, this release reads up to 2: run a newer release"), "{said}");
    }
    assert!(!home.path("never").exists());
    fs::write(&manifest, &was[0]).unwrap();
    fs::write(&sum, &was[1]).unwrap();
}

/// A disk that gives bytes no more: the backup says what to do about it.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_named_with_a_way_on() {
    let fleet = fleet().await;
    let cold = fleet.home.path("data/store/cold");
    let file = files(&cold).into_iter().find(|path| text(path).contains("/measurements/")).unwrap();
    // A folder in the place of a file fails to be read, and is not gone.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let (code, said) = backup(&fleet, &fleet.home.path("backup")).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(text(file.strip_prefix(&cold).unwrap())), "{said}");
    assert!(said.contains("or take a backup with --sealed named, which leaves such files out"), "{said}");
}

async fn every_flip_is_found(home: &Home, copy: &Path) {
    let kinds = ["format", "manifest.json", "manifest.sha256", "store.records", "verdicts.records", "shadows.records"];
    let all = files(copy);
    for kind in
        kinds.into_iter().chain(["plans/", "cold/collector=col-nl/measurements", "cold/collector=col-nl/rollups"])
    {
        let path = all.iter().find(|path| text(path.strip_prefix(copy).unwrap()).starts_with(kind));
        let path = path.unwrap_or_else(|| panic!("no file {kind} in the backup"));
        let was = fs::read(path).unwrap();
        flip(path);
        let (code, said) = verify(copy).await;
        // A directory that does not say what it is is none.
        let expected = if kind == "format" { 2 } else { 1 };
        assert_eq!(code, Some(expected), "{kind}: {said}");
        let name = if kind.starts_with("manifest") { "manifest.json" } else { text(path.strip_prefix(copy).unwrap()) };
        assert!(said.contains(name.trim_start_matches("cold/")) || kind == "format", "{kind}: {said}");
        let to = home.path("never");
        let (code, said) = restore(copy, &to).await;
        assert_eq!(code, Some(expected), "{kind}: {said}");
        // What was begun is no data directory.
        if to.exists() {
            let refused = home.try_start(&[("data_dir", text(&to))], std::sync::Arc::new(SystemClock)).await;
            assert!(refused.unwrap_err().to_string().contains("a restore into it did not finish"));
            fs::remove_dir_all(&to).unwrap();
        }
        fs::write(path, was).unwrap();
    }
    good(verify(copy).await);
}

async fn unfinished(home: &Home, copy: &Path) {
    fs::rename(copy.join("manifest.json"), home.path("kept.json")).unwrap();
    for (code, said) in [verify(copy).await, restore(copy, &home.path("never")).await] {
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("is unfinished"), "{said}");
    }
    assert!(!home.path("never").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_where_there_is_something() {
    let fleet = Fleet::begin(PLAN, world).await;
    let (copy, full) = (fleet.home.path("backup"), fleet.home.path("full"));
    good(backup(&fleet, &copy).await);
    fs::create_dir(&full).unwrap();
    fs::write(full.join("precious"), "1").unwrap();
    for (code, said) in [backup(&fleet, &full).await, restore(&copy, &full).await] {
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("it is not empty (it holds precious)"), "{said}");
    }
    let (code, said) = restore(&copy, &fleet.home.path("data")).await;
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = verify(&full).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("it is neither a backup nor the data directory"), "{said}");
    assert_eq!(fs::read_dir(&full).unwrap().count(), 1);
    // A collector that runs has its directory to itself.
    let (code, said) = verify(&fleet.home.path("data")).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("in use by another process"), "{said}");
}

fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/backup-{format}"))
}

/// A backup that the first release made which makes any. It is never made anew: one that is not there is written, and the test
/// fails, so that it is looked at and committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_version_1_is_good_and_a_collector_starts_on_what_it_becomes() {
    let home = Home::new();
    let (copy, data) = (fixture(1), home.path("data"));
    if !copy.exists() {
        good(backup(&small_fleet().await, &copy).await);
        panic!("there was no {}; it has been written, review and commit it", copy.display());
    }
    let lines = [
        "hot store  72 batches with 432 rows",
        "1 hours, 1 files with 216 rows",
        "6 boots, 648 rows",
        "verdicts   6 entries, head 685d87c6d62caccf",
        "shadows    7 entries, head cf0b6fdf898794e6",
    ];
    let found = good(verify(&copy).await);
    lines.iter().for_each(|line| assert!(found.contains(line), "{line} is not in\n{found}"));
    good(restore(&copy, &data).await);
    let found = good(verify(&data).await);
    lines.iter().for_each(|line| assert!(found.contains(line), "{line} is not in\n{found}"));
    // Its measurements grow too old some day; verdicts and ledgers stay.
    let collector = home.start().await;
    let (_, ledgers, verdicts) = holds(home.channel(&collector, &viewer()).await).await;
    collector.stop("test").await.unwrap();
    assert_eq!((ledgers.len(), verdicts.is_empty()), (6, false));
}
