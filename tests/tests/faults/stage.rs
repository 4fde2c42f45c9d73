//! What do all fault tests share: a small fleet, patience, luck from a seed, and the check at the end?

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uitwijk_collector::balance::ask::{Holdings, Rows};
use uitwijk_collector::balance::{Account, Begun, Bounds, Comparison};
use uitwijk_model::{BootId, Millis};
use uitwijk_proto::v1;
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_tests::fleet::{Fleet, FleetOptions, agreement};

/// No test waits longer than this for anything. An agent that failed often pauses up to 30 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// What may die with a killed agent: by its promise what is younger than 250 ms, and this machine may be busy.
const UNSYNCED: Bounds = Bounds { unsynced: Millis::from_secs(10) };
/// The pace of the fleets.
pub(crate) const SLOT: Duration = Duration::from_millis(500);

/// One fleet at a time: each has several processes, and a busy machine would be one more fault.
static PLACES: Semaphore = Semaphore::const_new(1);

/// A running fleet, and the right to run one.
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    dir: tempfile::TempDir,
    _place: tokio::sync::SemaphorePermit<'static>,
}

/// One agent in each region, which record what they start.
pub(crate) fn options() -> FleetOptions {
    FleetOptions {
        slot: SLOT,
        binary: env!("CARGO_BIN_EXE_uitwijk-fleet").into(),
        places: vec![("NL", "1"), ("IE", "1")],
        record: true,
        ..FleetOptions::default()
    }
}

/// Luck, from a seed that is printed.
pub(crate) fn luck(test: &str) -> StdRng {
    let given = std::env::var("FAULT_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(rand::random::<u32>);
    println!("{test}: FAULT_SEED={seed}");
    StdRng::seed_from_u64(u64::from(seed))
}

/// Waits until something holds, and says what it was when it never does.
pub(crate) async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look().await;
        if let Ok(Some(found)) = found {
            return Ok(found);
        }
        if Instant::now() > deadline {
            found.with_context(|| format!("never happened: {what}"))?;
            bail!("never happened: {what}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Stage {
    pub(crate) async fn start(options: FleetOptions) -> anyhow::Result<Self> {
        let place = PLACES.acquire().await?;
        let mut dir = tempfile::tempdir()?;
        if std::env::var_os("FAULT_KEEP").is_some() {
            dir.disable_cleanup(true);
            println!("everything of this fleet stays under {}", dir.path().display());
        }
        let options = FleetOptions { dir: dir.path().to_owned(), ..options };
        let fleet = Fleet::start(&options).await?;
        Ok(Self { fleet, dir, _place: place })
    }

    pub(crate) fn agents(&self) -> Vec<String> {
        self.fleet.agents.keys().cloned().collect()
    }

    pub(crate) fn collectors(&self) -> Vec<String> {
        self.fleet.collectors.keys().cloned().collect()
    }

    /// What a collector says of its agents.
    pub(crate) async fn states(&self, collector: &str) -> anyhow::Result<Vec<v1::AgentState>> {
        let mut client = FleetClient::new(self.fleet.channel(collector, "viewer").await?);
        Ok(client.list_agents(v1::ListAgentsRequest {}).await?.into_inner().agents)
    }

    pub(crate) async fn holdings(&self, collector: &str) -> anyhow::Result<Holdings> {
        agreement::holdings(self.fleet.channel(collector, "viewer").await?).await
    }

    /// How many rows of a boot a collector has, or had already.
    pub(crate) async fn stored(&self, collector: &str, boot: BootId) -> anyhow::Result<u64> {
        let held = self.holdings(collector).await?;
        let sums = held.accounts.iter().find(|account| account.boot == boot.0).map(Account::sums).unwrap_or_default();
        Ok(sums.stored + sums.duplicate)
    }

    pub(crate) async fn rows(&self, collector: &str) -> anyhow::Result<Rows> {
        agreement::rows(self.fleet.channel(collector, "viewer").await?).await
    }

    /// Everything that the agents recorded so far.
    pub(crate) fn begun(&self) -> anyhow::Result<Begun> {
        let mut begun = Begun::default();
        for agent in self.fleet.agents.keys() {
            // An agent that has no plan yet has no record either.
            if let Ok(file) = File::open(self.fleet.record_file(agent)) {
                begun.read(BufReader::new(file))?;
            }
        }
        Ok(begun)
    }

    /// Lines that an agent recorded so far.
    pub(crate) fn recorded(&self, agent: &str) -> u64 {
        let text = std::fs::read(self.fleet.record_file(agent)).unwrap_or_default();
        text.iter().filter(|byte| **byte == b'\n').count() as u64
    }

    /// Waits until an agent has started so many more measurements, which counts time by what happens.
    pub(crate) async fn measured(&self, agent: &str, more: u64) -> anyhow::Result<()> {
        let goal = self.recorded(agent) + more;
        let what = format!("{agent} starts {more} more measurements");
        until(&what, async || Ok((self.recorded(agent) >= goal).then_some(()))).await
    }

    /// Waits until every agent speaks to every collector and has nothing of an earlier start left.
    pub(crate) async fn caught_up(&self) -> anyhow::Result<()> {
        for collector in self.collectors() {
            let what = format!("every agent is connected to {collector} and only its running start is open");
            until(&what, async || {
                let states = self.states(&collector).await?;
                let done = |a: &v1::AgentState| a.connected && a.books.len() == 1;
                Ok((states.iter().filter(|a| done(a)).count() == self.fleet.agents.len()).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Stops the agents in order, which lets them deliver what they have, and checks every collector. The comparisons have
    /// nothing missing, doubled or invented, and every collector has the same set.
    pub(crate) async fn balance(&mut self) -> anyhow::Result<BTreeMap<String, Comparison>> {
        self.caught_up().await?;
        let stops = self.fleet.agents.values_mut().map(|agent| agent.process.stop(PATIENCE));
        for stopped in futures::future::join_all(stops).await {
            ensure!(stopped?.success(), "an agent did not stop in order");
        }
        let begun = self.begun()?;
        let (mut comparisons, mut sets) = (BTreeMap::new(), BTreeMap::new());
        for collector in self.collectors() {
            let channel = self.fleet.channel(&collector, "viewer").await?;
            let (found, set) = agreement::settled(&collector, channel, &begun, UNSYNCED).await?;
            sets.insert(collector.clone(), set);
            comparisons.insert(collector, found);
        }
        agreement::equal(&sets)?;
        Ok(comparisons)
    }

    /// Stops what still runs, in order.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.fleet.stop().await?;
        self.dir.close().context("remove the directory of the fleet")
    }
}
