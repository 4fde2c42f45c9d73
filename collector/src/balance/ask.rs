//! What does a collector say of its ledgers, and what is in its store?

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Request, Status};
use uitwijk_proto::v1;
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::measurements_client::MeasurementsClient;

use super::{Account, Place};

/// Rows asked for at a time.
const PAGE: u32 = 10_000;

/// What one collector says.
#[derive(Debug, Clone)]
pub struct Holdings {
    /// Its name.
    pub collector: String,
    /// By agent and boot.
    pub accounts: Vec<Account>,
}

/// What is in one store.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// In order of time.
    pub places: Vec<Place>,
    /// Batches that could not be read for damage.
    pub damaged: u64,
}

/// Asks for the books, then for the ledgers; of one agent, or of all when its name is empty.
///
/// # Errors
/// What the collector answers instead.
pub async fn holdings(fleet: &mut FleetClient<Channel>, agent: &str, within: Duration) -> Result<Holdings, Status> {
    let answer = fleet.list_agents(limited(v1::ListAgentsRequest {}, within)).await?.into_inner();
    let mut accounts = BTreeMap::new();
    for state in answer.agents.into_iter().filter(|state| agent.is_empty() || state.agent == agent) {
        for books in state.books {
            let (agent, boot) = (state.agent.clone(), books.boot);
            let ledger = v1::Ledger { boot, next_sequence: 1, end_sequence: 1, ..v1::Ledger::default() };
            accounts.insert((agent.clone(), boot), Account { agent, boot, said: Some(books), ledger });
        }
    }
    let request = v1::ListLedgersRequest { agent: agent.to_owned() };
    let mut ledgers = fleet.list_ledgers(limited(request, within)).await?.into_inner();
    while let Some(v1::BootLedger { agent, ledger, .. }) = ledgers.message().await? {
        let ledger = ledger.ok_or_else(|| Status::internal("a ledger without numbers came"))?;
        let boot = ledger.boot;
        let account = Account { agent: agent.clone(), boot, said: None, ledger: v1::Ledger::default() };
        accounts.entry((agent, boot)).or_insert(account).ledger = ledger;
    }
    Ok(Holdings { collector: answer.collector, accounts: accounts.into_values().collect() })
}

/// Every row of the store; of one agent, or of all when its name is empty.
///
/// # Errors
/// What the collector answers instead.
pub async fn rows(store: &mut MeasurementsClient<Channel>, agent: &str, within: Duration) -> Result<Rows, Status> {
    let mut rows = Rows::default();
    let mut page_token = String::new();
    loop {
        // All times: a clock that is wrong puts rows anywhere.
        let request = v1::QueryRequest {
            from_us: i64::MIN,
            to_us: i64::MAX,
            agent: agent.to_owned(),
            page_size: PAGE,
            page_token,
            ..v1::QueryRequest::default()
        };
        let page = store.query(limited(request, within)).await?.into_inner();
        let places = page.measurements.iter().map(|m| Place::of(m).ok_or_else(|| bad(m)));
        rows.places.extend(places.collect::<Result<Vec<_>, _>>()?);
        rows.damaged += page.damaged_records;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(rows);
        }
    }
}

fn bad(m: &v1::Measurement) -> Status {
    Status::internal(format!("a measurement of {:?} came that no agent can have made", m.agent))
}

fn limited<T>(message: T, within: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(within);
    request
}
