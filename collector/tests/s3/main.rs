//! Are sealed hours that lie in a store that speaks S3 the same as in a folder, and what happens when that store fails?

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod server;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use server::{BUCKET, Fate, Server, with_server};
use support::agent::Seen;
use support::fleet::Fleet;
use support::{PLAN, eventually, page, viewer};
use tonic::{Code, Status};
use uitwijk_collector::store::{DiskOptions, Goes, Objects, Sealed, Sealing, Store, StoreError};
use uitwijk_model::{Millis, SystemClock, WallTime};
use uitwijk_proto::v1;
use uitwijk_proto::v1::measurements_client::MeasurementsClient;

const HOUR: u64 = 3600;
/// The first hour is over for so long that it is sealed.
const LATER: u64 = 4 * HOUR;
/// Rows of a minute: six agents, six targets, six slots.
const MINUTE: usize = 6 * 6 * 6;

fn tell<F: Future<Output = ()>>(story: &str, told: impl FnOnce(Arc<Server>) -> F) {
    with_server(story, |server| {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(told(server));
    });
}

fn world(target: &str, _: u64) -> Seen<'static> {
    match target.rsplit_once('@').map(|(_, place)| place) {
        Some("IE") => Seen::Up(Some("IE")),
        Some(_) => Seen::Up(Some("NL")),
        None => Seen::Up(None),
    }
}

fn place() -> String {
    format!("s3://{BUCKET}/fleet/one")
}

/// A fleet whose sealed hours are to lie in the bucket.
async fn fleet() -> Fleet {
    Fleet::begin_with(PLAN, world, vec![("cold.url", place())]).await
}

/// The same with ten minutes that are to be sealed and one that is not, whose collector keeps copies of files or does not.
async fn filled(copies: bool) -> Fleet {
    let mut fleet = fleet().await;
    if !copies {
        keep_no_copies(&mut fleet);
    }
    fleet.run(0, 600).await;
    fleet.run(LATER, LATER + 60).await;
    fleet
}

/// From the next start on.
fn keep_no_copies(fleet: &mut Fleet) {
    fleet.settings.push(("cold.copies_bytes_max", "0".to_owned()));
}

async fn restart(fleet: &mut Fleet) {
    fleet.stop().await;
    fleet.connect().await;
}

/// A figure of the collector.
async fn figure(fleet: &Fleet, name: &str) -> f64 {
    let text = page(fleet.collector().addresses().admin, "/metrics").await.1;
    let line =
        text.lines().find_map(|line| line.strip_prefix(&format!("uitwijk_collector_{name} ")).map(str::to_owned));
    line.map_or(0.0, |number| number.parse().unwrap())
}

async fn eventually_is(fleet: &Fleet, name: &str, holds: fn(f64) -> bool) {
    eventually(name, || async { holds(figure(fleet, name).await) }).await;
}

/// Every measurement that the collector gives.
async fn rows(fleet: &Fleet) -> Result<Vec<v1::Measurement>, Status> {
    let query = v1::QueryRequest { from_us: i64::MIN, to_us: i64::MAX, page_size: 10_000, ..Default::default() };
    let page = MeasurementsClient::new(fleet.as_(&viewer()).await).query(query).await?.into_inner();
    assert_eq!((page.damaged_records, page.next_page_token.as_str()), (0, ""));
    Ok(page.measurements)
}

fn of<'a>(objects: &'a [String], part: &str) -> Vec<&'a str> {
    objects.iter().filter(|path| path.contains(part)).map(String::as_str).collect()
}

#[test]
fn a_reader_gets_the_same_from_a_bucket_until_it_is_too_old() {
    tell("a_reader_gets_the_same_from_a_bucket_until_it_is_too_old", |server| async move {
        let mut fleet = filled(false).await;
        let hot = rows(&fleet).await.unwrap();
        assert_eq!((hot.len(), server.objects().await), (11 * MINUTE, vec![]));

        restart(&mut fleet).await;
        eventually_is(&fleet, "cold_rows", |rows| rows > 0.0).await;
        eventually_is(&fleet, "cold_hot_records_removed_total", |records| records > 0.0).await;
        assert_eq!(figure(&fleet, "cold_rows").await, (10 * MINUTE) as f64);
        assert_eq!(rows(&fleet).await.unwrap(), hot);
        let first = server.objects().await;
        let (measurements, rollups) = (of(&first, "/measurements/"), of(&first, "/rollups/"));
        assert_eq!((measurements.len(), measurements.len() + rollups.len()), (rollups.len(), first.len()));
        assert!(first.iter().all(|path| path.starts_with("fleet/one/collector=col-nl/")), "{first:?}");
        assert!(!fleet.home.path("data/store/cold").exists(), "no folder beside it");

        // What comes late makes another generation, and leaves the first alone.
        fleet.run(600, 660).await;
        let late = rows(&fleet).await.unwrap();
        assert_eq!(late.len(), 12 * MINUTE);
        fleet.clock.advance_to(fleet.at(LATER + 3 * HOUR));
        restart(&mut fleet).await;
        eventually_is(&fleet, "cold_rows", |rows| rows > (10 * MINUTE) as f64).await;
        assert_eq!(rows(&fleet).await.unwrap(), late);
        let second = server.objects().await;
        assert!(first.iter().all(|path| second.contains(path)), "{first:?} {second:?}");

        // What is too old goes from the bucket too, and its rollups later.
        fleet.settings.push(("retention.measurements", "1d".to_owned()));
        fleet.clock.advance_to(fleet.at(40 * HOUR));
        restart(&mut fleet).await;
        eventually("the measurements are gone", || async { of(&server.objects().await, "/measurements/").is_empty() })
            .await;
        let kept = server.objects().await;
        assert_eq!(kept, of(&second, "/rollups/"));
        fleet.settings.push(("retention.rollups", "1d".to_owned()));
        restart(&mut fleet).await;
        eventually("nothing is left", || async { server.objects().await.is_empty() }).await;
        fleet.stop().await;
    });
}

/// The store of a collector that was stopped, as a process after it opens it.
fn store(fleet: &Fleet) -> Store {
    let objects = Objects::at(&place()).unwrap();
    Store::open_with(&fleet.home.path("data/store"), DiskOptions::default(), Arc::new(SystemClock), objects).unwrap()
}

/// Seals all that is over.
fn seal(store: &Store, now: WallTime) -> Result<Sealed, StoreError> {
    let how = Sealing { collector: "col-nl", plan_version: "", now, file_rows_max: MINUTE, give_up: &|| false };
    let mut all = Sealed::default();
    for (hour, _, _) in store.unsealed(now.minus(Millis::from_secs(2 * HOUR)))? {
        let Sealed { rows, files, .. } = store.seal(hour, &how)?.unwrap();
        all.rows += rows;
        all.files += files;
    }
    Ok(all)
}

/// All that is stored, or why not.
fn read(store: &Store) -> Result<usize, StoreError> {
    let mut rows = 0;
    for accepted in store.recover(WallTime::from_micros(i64::MIN)) {
        rows += accepted?.rows.len();
    }
    Ok(rows)
}

/// Passes so many files, and then answers as a store that is too busy.
fn busy_after(files: usize) -> impl FnMut(&str) -> Fate + Send + 'static {
    let mut seen = 0;
    move |line| {
        seen += usize::from(line.starts_with("PUT"));
        if seen > files { Fate::Answers(503, "SlowDown") } else { Fate::Passes }
    }
}

const FAILURES: [(Fate, &str); 5] = [
    (Fate::Drops, "error sending request"),
    (Fate::Answers(500, "InternalError"), "InternalError"),
    (Fate::Answers(503, "SlowDown"), "SlowDown"),
    (Fate::Answers(403, "AccessDenied"), "AccessDenied"),
    (Fate::Answers(404, "NoSuchBucket"), "NoSuchBucket"),
];

/// An error names the file, where it was to lie, and what came back; and it comes soon enough.
fn told(error: &StoreError, what: &str, began: Instant) {
    let text = error.to_string();
    assert!(!matches!(error, StoreError::Damaged(_)), "{text}");
    for part in [what, &place(), "collector=col-nl/"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}: {text}", began.elapsed());
}

#[test]
fn a_server_that_fails_is_told_and_nothing_is_lost() {
    tell("a_server_that_fails_is_told_and_nothing_is_lost", |server| async move {
        let mut fleet = filled(true).await;
        fleet.stop().await;
        let (store, now, all) = (store(&fleet), fleet.at(LATER + 60), 11 * MINUTE);

        for (fate, what) in FAILURES {
            server.fares(fate);
            let began = Instant::now();
            told(&seal(&store, now).unwrap_err(), what, began);
            assert_eq!((store.sealed_hours().len(), read(&store).unwrap()), (0, all), "{fate:?}: the hot hour stays");
        }
        server.judges(busy_after(3));
        seal(&store, now).unwrap_err();
        assert_eq!(server.objects().await.len(), 3, "files that no hour knows");
        assert_eq!(read(&store).unwrap(), all);

        server.fares(Fate::Passes);
        let sealed = seal(&store, now).unwrap();
        assert_eq!(sealed.rows, (10 * MINUTE) as u64);
        let known = || {
            let mut paths: Vec<_> =
                store.freeze().unwrap().files().into_iter().map(|file| format!("fleet/one/{}", file.path)).collect();
            paths.sort();
            paths
        };
        assert_eq!(server.objects().await, known());
        while store.remove_covered(&[]).unwrap().0 > 0 {}
        assert_eq!(read(&store).unwrap(), all);

        // A reader is never given less because the server fails.
        for (fate, what) in FAILURES.into_iter().chain([(Fate::EndsAfter(10), "error")]) {
            server.fares(fate);
            let began = Instant::now();
            told(&read(&store).unwrap_err(), what, began);
            assert_eq!(store.damaged_records(), 0, "{fate:?}");
        }
        // A file that is gone is damage, and takes no other with it.
        server.fares(Fate::Passes);
        let gone = store.freeze().unwrap().files().into_iter().find(|file| file.rows.is_some()).unwrap();
        server.delete(&format!("fleet/one/{}", gone.path)).await;
        let lost = usize::try_from(gone.rows.unwrap()).unwrap();
        assert_eq!((read(&store).unwrap(), store.damaged_records()), (all - lost, 1));

        // Neither is a file forgotten that could not be taken away.
        let hour = store.sealed_hours()[0].hour;
        store.drop_hour(hour, Goes::Measurements).unwrap();
        let before = server.objects().await;
        for (fate, what) in FAILURES {
            server.fares(fate);
            let began = Instant::now();
            told(&store.remove_condemned().unwrap_err(), what, began);
        }
        assert_eq!(server.objects().await, before);
        server.fares(Fate::Passes);
        assert!(store.remove_condemned().unwrap());
        assert_eq!(server.objects().await, known());
    });
}

#[test]
fn a_collector_works_and_stops_while_the_server_does_not_answer() {
    tell("a_collector_works_and_stops_while_the_server_does_not_answer", |server| async move {
        let mut fleet = filled(true).await;
        for fate in [Fate::Hangs, Fate::Drops] {
            server.fares(fate);
            restart(&mut fleet).await;
            fleet.run(LATER + 60, LATER + 120).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let began = Instant::now();
            fleet.stop().await;
            assert!(began.elapsed() < Duration::from_secs(5), "{fate:?}: it took {:?}", began.elapsed());
            server.fares(Fate::Passes);
            fleet.connect().await;
        }
        eventually_is(&fleet, "cold_rows", |rows| rows == (10 * MINUTE) as f64).await;
        assert_eq!(rows(&fleet).await.unwrap().len(), 12 * MINUTE);

        // Who asks for what lies there, and of which no copy is kept, is told that it cannot be had.
        keep_no_copies(&mut fleet);
        restart(&mut fleet).await;
        server.fares(Fate::Answers(503, "SlowDown"));
        let refused = rows(&fleet).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        assert!(refused.message().contains("SlowDown"), "{refused}");
        server.fares(Fate::Passes);
        assert_eq!(rows(&fleet).await.unwrap().len(), 12 * MINUTE);
        fleet.stop().await;
    });
}

#[test]
fn late_rows_do_not_wait_for_the_server_as_long_as_there_are_copies() {
    tell("late_rows_do_not_wait_for_the_server_as_long_as_there_are_copies", |server| async move {
        let mut fleet = filled(true).await;
        restart(&mut fleet).await;
        eventually_is(&fleet, "cold_rows", |rows| rows == (10 * MINUTE) as f64).await;
        eventually_is(&fleet, "cold_hot_records_removed_total", |records| records > 0.0).await;

        // A process that has none of the hour in memory takes what is late and leaves what is there.
        server.fares(Fate::Hangs);
        restart(&mut fleet).await;
        let late = async {
            fleet.run(540, 660).await;
            fleet.run(LATER + 60, LATER + 120).await;
        };
        tokio::time::timeout(Duration::from_secs(20), late).await.expect("nobody waits for the server");
        assert_eq!(rows(&fleet).await.unwrap().len(), 13 * MINUTE);

        // Without copies the server is asked.
        keep_no_copies(&mut fleet);
        server.fares(Fate::Passes);
        restart(&mut fleet).await;
        server.fares(Fate::Drops);
        let late = tokio::time::timeout(Duration::from_secs(2), fleet.run(660, 720)).await;
        assert!(late.is_err(), "nobody knows yet what is there");
        assert!(figure(&fleet, "ingest_rows_aside").await > 0.0);
        server.fares(Fate::Passes);
        eventually_is(&fleet, "ingest_rows_aside", |rows| rows == 0.0).await;
        fleet.run(660, 720).await;
        assert_eq!(rows(&fleet).await.unwrap().len(), 14 * MINUTE);
        server.fares(Fate::Drops);
        assert_eq!(rows(&fleet).await.unwrap_err().code(), Code::Unavailable);
        server.fares(Fate::Passes);
        assert_eq!(rows(&fleet).await.unwrap().len(), 14 * MINUTE);
        fleet.stop().await;
    });
}

/// Runs a command of the collector's binary: how it ended, and what it said.
async fn command(args: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_uitwijk-collector"));
    command.stdin(Stdio::null()).kill_on_drop(true).args(args);
    let output = tokio::time::timeout(support::LONG, command.output()).await.expect("it ends").unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), said.concat())
}

fn good((code, said): (Option<i32>, String)) -> String {
    assert_eq!(code, Some(0), "{said}");
    said
}

fn bad(code: i32, (found, said): (Option<i32>, String), what: &str) {
    assert_eq!(found, Some(code), "{said}");
    assert!(said.contains(what), "{what} is not in: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn backup(fleet: &Fleet, to: &Path, more: &[&str]) -> (Option<i32>, String) {
    let url = format!("https://{}", fleet.collector().addresses().listen);
    let flags =
        fleet.home.flags().into_iter().map(|(key, value)| format!("--{}={value}", key.replace(['.', '_'], "-")));
    let flags: Vec<String> = flags.collect();
    let mut args = vec!["backup", "--to", text(to), "--collector", &url];
    args.extend(flags.iter().map(String::as_str).chain(more.iter().copied()));
    command(&args).await
}

#[test]
fn a_backup_names_files_in_a_bucket_or_copies_them() {
    tell("a_backup_names_files_in_a_bucket_or_copies_them", |server| async move {
        // Copies are read in the place of the bucket, by a backup too.
        let mut fleet = filled(false).await;
        restart(&mut fleet).await;
        eventually_is(&fleet, "cold_rows", |rows| rows > 0.0).await;
        let before = rows(&fleet).await.unwrap();
        let path = |name: &str| fleet.home.path(name);
        let (named, copied, url) = (path("named"), path("copied"), place());
        let said = good(backup(&fleet, &named, &[]).await);
        assert!(said.contains(&format!("were not copied, they lie at {url}")), "{said}");
        good(backup(&fleet, &copied, &["--sealed", "copied"]).await);
        server.fares(Fate::Answers(503, "SlowDown"));
        bad(1, backup(&fleet, &path("busy"), &["--sealed", "copied"]).await, "SlowDown");
        good(backup(&fleet, &path("not-busy"), &[]).await);
        server.fares(Fate::Passes);

        let (dir, bucket) = ("--dir", ["--cold", &url]);
        assert!(good(command(&["verify", dir, text(&named)]).await).contains("--cold looks at them there"));
        let whole = "6 boots, 2376 rows\n";
        for (backup, more) in [(&named, &bucket[..]), (&copied, &[]), (&copied, &bucket)] {
            let args = [&["verify", dir, text(backup)], more].concat();
            assert!(good(command(&args).await).contains(whole), "{backup:?}");
        }
        server.fares(Fate::Answers(503, "SlowDown"));
        bad(1, command(&["verify", dir, text(&named), bucket[0], bucket[1]]).await, "SlowDown");
        server.fares(Fate::Passes);
        let one = of(&server.objects().await, "/rollups/")[0].to_owned();

        // Back into a store whose files are where they were, and into one of its own.
        let (again, own) = (path("again"), path("own"));
        let said = good(command(&["restore", "--from", text(&named), "--to", text(&again)]).await);
        assert!(said.contains(&format!("must still be at {url}")), "{said}");
        good(command(&["restore", "--from", text(&copied), "--to", text(&own)]).await);
        let refused =
            command(&["restore", "--from", text(&copied), "--to", text(&path("never")), "--cold", &url]).await;
        bad(2, refused, "it is no folder");
        assert!(!path("never").exists());
        assert!(good(command(&["verify", dir, text(&again), bucket[0], bucket[1]]).await).contains(whole));
        assert!(good(command(&["verify", dir, text(&own)]).await).contains(whole));
        bad(1, command(&["verify", dir, text(&again)]).await, "note: no files of sealed hours are in the directory");
        std::fs::remove_dir(again.join("store/cold")).unwrap();

        fleet.settings = vec![("data_dir", text(&again).to_owned()), ("cold.url", url.clone())];
        restart(&mut fleet).await;
        assert_eq!(rows(&fleet).await.unwrap(), before);
        fleet.settings = vec![("data_dir", text(&own).to_owned())];
        server.fares(Fate::Drops);
        restart(&mut fleet).await;
        assert_eq!(rows(&fleet).await.unwrap(), before);
        fleet.stop().await;
        server.fares(Fate::Passes);

        // Somebody tidied up the bucket.
        server.delete(&one).await;
        let below = one.strip_prefix("fleet/one/").unwrap();
        bad(1, command(&["verify", dir, text(&named), bucket[0], bucket[1]]).await, below);
        bad(1, command(&["verify", dir, text(&again), bucket[0], bucket[1]]).await, below);
    });
}
