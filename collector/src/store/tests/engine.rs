//! Does another engine read the same from our files?
//!
//! `UITWIJK_TEST_PYTHON` names a Python that has DuckDB; else `python3` is tried. Where there is none the test says so.

use std::process::Command;
use std::sync::Arc;

use uitwijk_model::{Fault, Measurement, Outcome, SystemClock, Unmeasured};

use super::sealing::seal_all;
use super::{stored, write};
use crate::store::{DiskOptions, Store};
use crate::testing::{row, slot_now};

const QUESTIONS: &str = r"
import duckdb, sys
files = sys.argv[1] + '/collector=c/measurements/**/*.parquet'
rollups = sys.argv[1] + '/collector=c/rollups/**/*.parquet'
def ask(sql):
    for line in duckdb.sql(sql).fetchall():
        print(*line)
ask(f'''select outcome, coalesce(reason, '-'), count(*), sum(total_us) from read_parquet('{files}')
        group by all order by all''')
ask(f'''select year, month, day, hour, count(distinct target), epoch_us(min(scheduled_us))
        from read_parquet('{files}', hive_partitioning = true) group by all order by all''')
ask(f'''select 'rollups', sum(up), sum(slow), sum(down), sum(unmeasured) from read_parquet('{rollups}')''')
ask(f'''select 'footer', count(*) from parquet_kv_metadata('{files}') where decode(key) = 'uitwijk.format' and decode(value) = '1' ''')
";

fn measured(i: i64) -> Measurement {
    let outcomes = [
        Outcome::Up,
        Outcome::Up,
        Outcome::Slow,
        Outcome::Down(Fault::WaitTimeout),
        Outcome::Unmeasured(Unmeasured::Missed),
    ];
    let which = usize::try_from(i % 5).unwrap();
    let mut m = row(["a/x@NL", "b/x@IE", "control:c"][which % 3], slot_now() - 30 + i / 5, 0, 1000 + i.unsigned_abs());
    m.outcome = outcomes[which];
    m.total = m.total.filter(|_| m.outcome.is_measured());
    m
}

#[test]
fn duckdb_counts_what_we_counted() {
    let python = std::env::var("UITWIJK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let there = Command::new(&python).args(["-c", "import duckdb"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        println!("skipped: {python} has no duckdb (UITWIJK_TEST_PYTHON names another python)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), DiskOptions::default(), Arc::new(SystemClock)).unwrap();
    // Five slots of five rows in a batch, across the edge of an hour.
    let batches: Vec<_> = (0..10)
        .map(|b| stored("nl-1", b + 1, &(0..25).map(|i| measured(b.cast_signed() * 25 + i)).collect::<Vec<_>>()))
        .collect();
    write(&store, &batches);
    seal_all(&store, 60);
    let output = Command::new(&python).args(["-c", QUESTIONS]).arg(dir.path().join("cold")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sum = |which: i64| (0..250).filter(|i| i % 5 == which).map(|i| 1000 + i).sum::<i64>();
    let expected = format!(
        "down wait_timeout 50 {}\nslow - 50 {}\nunmeasured missed 50 None\nup - 100 {}\n\
         2026 3 2 7 3 {}\n2026 3 2 8 3 {}\n\
         rollups 100 50 50 50\nfooter 4\n",
        sum(3),
        sum(2),
        sum(0) + sum(1),
        measured(0).scheduled.as_micros(),
        measured(150).scheduled.as_micros(),
    );
    // Some versions read the month from its folder as a number, some as a text.
    let found = String::from_utf8_lossy(&output.stdout).replace(" 0", " ");
    assert_eq!(found, expected);
}
