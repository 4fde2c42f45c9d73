//! What do the commands about backups do, and what do they print?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tonic::transport::Channel;
use uitwijk_identity::{ClientOptions, channel};
use uitwijk_model::Clock;
use uitwijk_proto::v1;
use uitwijk_proto::v1::backups_client::BackupsClient;
use uitwijk_telemetry::logging;

use super::backup_args::{Keep, Since};
use super::{Failure, MEND, USAGE, log_options, resolve};
use crate::backup::catch_up::{self, Asked, CatchUpError, CaughtUp};
use crate::backup::layout::{Manifest, Origin};
use crate::backup::restore::{Restored, Wanted, restore};
use crate::backup::{BackupError, fetch, layout, verify};
use crate::config::{Config, Sources};
use crate::ingest::{Adopting, IngestLimits};
use crate::judging::reach;
use crate::plans::Plans;
use crate::run::{load_credentials, load_plan, open_store};

/// A piece has at most 256 KiB of a file.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

pub(super) fn execute(keep: &Keep, sources: &Sources, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    match keep {
        Keep::Backup { to, collector, sealed, within } => {
            let config = resolve(sources)?.config;
            let request = v1::TakeBackupRequest { within_s: within.0 / 1000, sealed_files: (*sealed).into() };
            let url = collector.clone().unwrap_or_else(|| address_of(&config));
            let taking = take(&config, &url, request, to, clock);
            told(&runtime()?.block_on(taking)?, to);
            Ok(())
        }
        Keep::Restore { from, to, cold, verdicts } => {
            let wanted = Wanted { from, to, cold: cold.as_deref(), verdicts: *verdicts };
            let restored = restore(&wanted, clock).map_err(failure)?;
            told_of_restore(&restored, &wanted);
            Ok(())
        }
        Keep::CatchUp { from, since } => catch_up(&resolve(sources)?.config, from, *since, &clock),
        Keep::Verify { dir, cold } => {
            let report = verify::verify(dir, cold.as_deref(), clock).map_err(failure)?;
            print!("{report}");
            match report.is_good() {
                true => Ok(()),
                false => Err(Failure::from(format!("{} is not good", dir.display()))),
            }
        }
    }
}

fn failure(error: BackupError) -> Failure {
    let code = if error.is_of_the_command_line() { USAGE } else { MEND };
    Failure { code, ..Failure::from(error) }
}

pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Where the collector of this configuration serves, as seen from its own machine.
fn address_of(config: &Config) -> String {
    let ready = config.ready_file.as_ref().and_then(|path| std::fs::read(path).ok());
    let ready = ready.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    let bound = ready.and_then(|json| json.get("listen")?.as_str()?.parse::<SocketAddr>().ok());
    let mut address = bound.unwrap_or(config.listen);
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("https://{address}")
}

/// A connection to a collector with the certificate of this one.
pub(super) async fn connect(config: &Config, url: &str, clock: Arc<dyn Clock>) -> Result<Channel, Failure> {
    let credentials = load_credentials(config, clock)?;
    let connected = channel(url, credentials, ClientOptions::default()).await;
    Ok(connected.map_err(|error| format!("{error} (give another address, with a name that is in the certificate)"))?)
}

async fn take(
    config: &Config,
    url: &str,
    request: v1::TakeBackupRequest,
    to: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Manifest, Failure> {
    let channel = connect(config, url, clock).await?;
    // Before anything is asked for, so that a directory that cannot be used costs the collector nothing, and after the connection, so that
    // one that fails leaves nothing in the directory.
    layout::begin(to).map_err(failure)?;
    let mut client = BackupsClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let pieces = client.take(request).await.map_err(|status| format!("{url}: {}", status.message()))?.into_inner();
    let unfinished = |error: BackupError| {
        let mut failed = failure(error);
        let dir = to.display();
        failed.error =
            format!("{}: the backup in {dir} is unfinished, delete it and take another", failed.error).into();
        failed
    };
    fetch::fetch(pieces, to).await.map_err(unfinished)
}

fn catch_up(config: &Config, from: &str, since: Option<Since>, clock: &Arc<dyn Clock>) -> Result<(), Failure> {
    let credentials = load_credentials(config, clock.clone())?;
    let plan = load_plan(&config.plan_file)?;
    let late_max = reach(&plan);
    layout::refuse_unfinished(&config.data_dir).map_err(failure)?;
    layout::refuse_another(&config.data_dir, &credentials.identity().name).map_err(failure)?;
    let origin = Origin::of(&config.data_dir).map_err(failure)?;
    if origin.is_none() && since.is_none() {
        return Err(CatchUpError::Since.into());
    }
    // While rows are written, the connection goes on.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let options = log_options(config)?;
    let logging = runtime.block_on(async { logging::init("uitwijk-collector", &options) })?;
    let peer = runtime.block_on(connect(config, from, clock.clone()))?;

    // Not before the peer answers: an empty directory stays one that a backup can be restored into.
    std::fs::create_dir_all(&config.data_dir)?;
    let store = open_store(config, clock.clone())?;
    let plans = Arc::new(Plans::open(&config.data_dir.join("plans"), plan)?);
    let (future_max, retention) = (config.limits.future_max, config.retention.measurements);
    let limits = IngestLimits { future_max, retention, ..IngestLimits::default() };
    let adopting = Adopting::begin(store, plans, limits, clock.clone())?;
    let since = since.map(|since| match since {
        Since::Ago(ago) => clock.wall().minus(ago),
        Since::Moment(moment) => moment,
    });
    let name = credentials.identity().name;
    let asked = Asked { name: &name, since, late_max, retention, origin };
    let caught_up = runtime.block_on(catch_up::catch_up(peer, adopting, &asked, &**clock));
    logging.shutdown();
    let caught_up = caught_up?;
    // Last: until then a start tells that the directory has not caught up.
    caught_up.origin.write(&config.data_dir).map_err(failure)?;
    told_of_catch_up(&caught_up)
}

fn told_of_catch_up(caught_up: &CaughtUp) -> Result<(), Failure> {
    let CaughtUp { peer, since, adopted, damaged, lacking, .. } = caught_up;
    println!("caught up from {peer} since {since}: {} rows looked at, {} of them stored", adopted.rows, adopted.stored);
    for (reason, rows) in &adopted.refused {
        println!("note: {rows} rows were refused ({reason})");
    }
    if adopted.written_off > 0 {
        println!("note: {} numbers that {peer} has no row of are counted as lost", adopted.written_off);
    }
    if *damaged > 0 {
        println!("note: {damaged} batches of {peer} cannot be read, their rows are missing here too");
    }
    for (agent, boot, rows) in lacking {
        println!(
            "lacking: {agent} {boot}: {peer} counted {rows} rows more than are here; it has them no more, or they are older than was asked for"
        );
    }
    // What is older than rows are kept is no loss; anything else that was refused is here for good only if its plan is.
    let unknown = adopted.refused.iter().any(|(reason, rows)| *reason != "past" && *rows > 0);
    match (lacking.is_empty(), unknown) {
        (true, false) => Ok(()),
        (false, _) => Err(Failure::from("not everything that the peer counted is here")),
        (true, true) => Err(Failure::from(
            "rows were refused: start with the plan file that they were measured under, or one that has their targets, and catch up again",
        )),
    }
}

fn told(manifest: &Manifest, to: &Path) {
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let contents = &manifest.contents;
    println!("backup of {}, taken at {}, in {}", manifest.collector, manifest.taken, to.display());
    println!("  files      {} with {bytes} bytes", manifest.files.len());
    println!("  hot store  {} batches with {} rows", contents.records, contents.record_rows);
    let (hours, files, rows) = (contents.sealed_hours, contents.sealed_files, contents.sealed_rows);
    println!("  sealed     {hours} hours, {files} files with {rows} rows");
    println!("  ledgers    {} boots", contents.ledgers);
    println!("  verdicts   {} entries, head {}", contents.verdict_entries, contents.verdict_head);
    if contents.records_damaged > 0 {
        println!(
            "note: {} batches of the collector cannot be read; they are copied as they are",
            contents.records_damaged
        );
    }
    let (named, place) = (manifest.sealed.named.len(), &manifest.sealed.place);
    if named > 0 && manifest.sealed.copied {
        println!("note: {named} files of sealed hours are damaged at the collector, and only named");
    } else if named > 0 {
        println!("note: {named} files of sealed hours were not copied, they lie at {place}");
    }
}

fn told_of_restore(restored: &Restored, wanted: &Wanted<'_>) {
    let (Restored { manifest, cold }, to) = (restored, wanted.to);
    println!("{} restored from the backup of {} of {}", to.display(), manifest.collector, manifest.taken);
    if manifest.sealed.copied {
        println!("  the files of sealed hours are in {}", cold.display());
    } else if !manifest.sealed.named.is_empty() {
        println!("  the files of sealed hours must still be at {}: they were not copied", manifest.sealed.place);
    }
    if manifest.sealed.place != "data_dir" {
        println!("  the collector had cold.url {}: keep it only if the files are there", manifest.sealed.place);
    }
    if !wanted.verdicts {
        println!("  the verdict log begins anew: what was judged and what people said before is not in it");
    }
    println!("next, before the start: uitwijk-collector catch-up --from https://PEER:7443");
}
