//! Does the buffer do what a plain model of it does, whatever is asked of it in whatever order?
//!
//! The model is a count per boot and what each collector was given. The buffer runs on a real disk under
//! random histories: appends, syncs, acknowledgements, full disks, crashes in the middle of a commit, orderly restarts.
//! The laws are checked after each step and, once everything is drained, at the end.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::buffer::{Health, options::Faults};

const COLLECTORS: [&str; 2] = ["col-ie", "col-nl"];
/// Holds a few records at a time.
const TIGHT: u64 = 3 * 12_000;

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Sync,
    /// A collector takes so many deliveries, and acknowledges all but the last few rows of each.
    Take {
        collector: usize,
        deliveries: usize,
        back: u64,
    },
    Rewind(usize),
    Full(bool),
    /// So many writes reach the disk, then the process is gone.
    Crash(i64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let take = (0..2usize, 1..6usize, 0..50u64).prop_map(|(collector, deliveries, back)| Step::Take {
        collector,
        deliveries,
        back,
    });
    let step = prop_oneof![
        6 => (1..600u64).prop_map(Step::Append),
        4 => Just(Step::Sync),
        6 => take,
        1 => (0..2usize).prop_map(Step::Rewind),
        1 => any::<bool>().prop_map(Step::Full),
        1 => (0..12i64).prop_map(Step::Crash),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

struct World {
    home: tempfile::TempDir,
    disk_bytes_max: u64,
    buffer: Option<Buffer>,
    readers: Vec<Reader>,
    faults: Arc<Faults>,
    /// Measurements per boot that were said to be on disk.
    synced: BTreeMap<BootId, u64>,
    received: [Received; 2],
}

impl World {
    fn begin(disk_bytes_max: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let received = [Received::default(), Received::default()];
        let (synced, faults) = (BTreeMap::new(), Arc::default());
        let mut world = Self { home, disk_bytes_max, buffer: None, readers: Vec::new(), faults, synced, received };
        world.open();
        world
    }

    fn open(&mut self) {
        let options = options(self.home.path(), &COLLECTORS);
        self.faults = options.faults.clone();
        let options = BufferOptions { disk_bytes_max: self.disk_bytes_max, ..options };
        let (buffer, report) = Buffer::open(options).unwrap();
        assert!(report.moved_aside.is_none());
        self.readers = COLLECTORS.iter().map(|name| buffer.reader(name).unwrap()).collect();
        self.buffer = Some(buffer);
    }

    fn buffer(&self) -> &Buffer {
        self.buffer.as_ref().unwrap()
    }

    async fn apply(&mut self, step: &Step) {
        match *step {
            Step::Append(count) => {
                self.buffer().append(measurements(count));
            }
            Step::Sync => self.sync().await,
            Step::Take { collector, deliveries, back } => self.take(collector, deliveries, back).await,
            Step::Rewind(collector) => self.readers[collector].rewind(),
            Step::Full(full) => self.set_full(full).await,
            Step::Crash(writes) => self.crash(writes).await,
            Step::Restart => self.restart().await,
        }
    }

    async fn sync(&mut self) {
        let started = self.buffer().next_sequence() - 1;
        if self.buffer().sync().await {
            self.synced.insert(self.buffer().boot(), started);
        }
    }

    async fn take(&mut self, collector: usize, deliveries: usize, back: u64) {
        for _ in 0..deliveries {
            let next = self.readers[collector].next(300, 1 << 16);
            let Ok(delivery) = tokio::time::timeout(Duration::from_millis(10), next).await else { return };
            let (boot, end) = self.received[collector].add(&delivery.unwrap());
            self.buffer().acknowledge(COLLECTORS[collector], boot, end.saturating_sub(back));
        }
    }

    async fn set_full(&mut self, full: bool) {
        self.faults.set_full(full);
        if !full {
            until("the disk is used again", || self.buffer().health() == Health::Disk).await;
        }
    }

    async fn crash(&mut self, writes: i64) {
        self.faults.fail_after(writes);
        self.sync().await;
        self.faults.set_full(true);
        self.readers.clear();
        self.buffer = None;
        self.open();
    }

    async fn restart(&mut self) {
        self.set_full(false).await;
        self.sync().await;
        self.buffer().close().await;
        self.readers.clear();
        self.buffer = None;
        self.open();
    }

    fn check(&self) {
        for (name, received) in COLLECTORS.iter().zip(&self.received) {
            for books in self.buffer().books(name) {
                assert!(books.balance(), "{books:?}");
                let below = |set: &BTreeSet<(BootId, u64)>| {
                    let cursor = self.buffer().cursor(name, books.boot).unwrap_or(1);
                    set.range((books.boot, 0)..(books.boot, cursor)).count() as u64
                };
                assert!(books.delivered <= below(&received.rows), "{name} {books:?}");
            }
        }
    }

    async fn finish(mut self) {
        self.set_full(false).await;
        self.sync().await;
        for (collector, name) in COLLECTORS.iter().enumerate() {
            let rest = drain(self.buffer(), name).await;
            self.received[collector].rows.extend(rest.rows);
            self.received[collector].told.extend(rest.told);
        }
        self.check();
        for received in &self.received {
            for (&boot, &synced) in &self.synced {
                for sequence in 1..=synced {
                    let (had, told) =
                        (received.rows.contains(&(boot, sequence)), received.told.contains(&(boot, sequence)));
                    assert!(had || told, "{boot} {sequence} of {synced} is neither here nor told");
                    assert!(!told || had || self.disk_bytes_max == TIGHT, "{boot} {sequence} of {synced} was on disk");
                }
            }
        }
        assert!(self.buffer().counts().raw_bytes <= self.disk_bytes_max / 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn nothing_synced_is_lost_in_silence_and_the_books_balance(
        steps in steps(),
        disk_bytes_max in prop::sample::select(vec![TIGHT, 1 << 30]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::begin(disk_bytes_max);
            for step in &steps {
                world.apply(step).await;
                world.check();
            }
            world.finish().await;
        });
    }
}
