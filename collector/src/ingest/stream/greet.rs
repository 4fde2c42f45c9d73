//! How does a stream begin?

use std::time::Duration;

use tokio::sync::oneshot;
use tonic::Status;
use uitwijk_model::BootId;
use uitwijk_proto::PROTOCOL_VERSION;
use uitwijk_proto::v1::{self, LossReason, from_agent, from_collector};

use super::{BOOTS_MAX, End, Inbound, StreamTask, broken};
use crate::ingest::sessions::Session;
use crate::ingest::work::{Held, Lost, Work};

/// How long an agent may take to introduce itself.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest text that describes an agent's software.
const SOFTWARE_BYTES_MAX: usize = 128;

impl StreamTask {
    /// Hello and welcome.
    pub(super) async fn greet(&mut self, inbound: &mut impl Inbound) -> Result<Session, End> {
        let hello = match tokio::time::timeout(HELLO_TIMEOUT, inbound.message()).await {
            Ok(Ok(Some(v1::FromAgent { message: Some(from_agent::Message::Hello(hello)) }))) => hello,
            Ok(Ok(Some(_))) => return Err(End::invalid(Status::invalid_argument("the first message must be a Hello"))),
            Ok(Ok(None)) => return Err(End { reason: "done", status: None }),
            Ok(Err(status)) => return Err(broken(&status)),
            Err(_) => return Err(End::of("silent", Status::deadline_exceeded("no Hello within 10 s"))),
        };
        check_hello(&hello)?;
        self.boot = BootId(hello.boot);
        let admitted = self.shared.sessions.admit(&self.peer, self.boot, self.certificate).await;
        let session = admitted.map_err(|status| End::of("identity", status))?;
        self.forgotten(&hello).await?;
        self.held(&hello).await?;
        let cursors = self.cursors(&hello).await?;
        let now = self.shared.clock.wall();
        self.shared.board.connected(&self.peer.agent, &self.peer.vantage, &hello, now);
        tracing::info!(boot = %self.boot, software = hello.software, "agent connected");
        self.peer.mailbox.reply(from_collector::Message::Welcome(self.welcome(cursors)));
        self.earlier = hello.buffered.iter().filter(|range| range.boot != hello.boot).copied().collect();
        Ok(session)
    }

    /// The agent has forgotten what lies below its ranges, because it was acknowledged here. What of that the ledger does
    /// not know went with a store that was lost or replaced: it is written off, or the cursor could never pass it.
    async fn forgotten(&self, hello: &v1::Hello) -> Result<(), End> {
        for range in hello.buffered.iter().filter(|range| range.first_sequence > 1) {
            let lost = Lost {
                peer: self.peer.clone(),
                boot: BootId(range.boot),
                first_sequence: 1,
                count: range.first_sequence - 1,
                reason: LossReason::Forgotten,
                arrived: self.shared.clock.wall(),
            };
            self.hand_over(Work::Forgotten(lost)).await?;
        }
        Ok(())
    }

    /// A boot that an agent does not name, though it read its buffer, has nothing left: what is open in it never comes.
    async fn held(&mut self, hello: &v1::Hello) -> Result<(), End> {
        if !hello.buffered_is_all {
            return Ok(());
        }
        let mut boots: Vec<BootId> = hello.buffered.iter().map(|range| BootId(range.boot)).collect();
        boots.push(self.boot);
        let (peer, arrived) = (self.peer.clone(), self.shared.clock.wall());
        self.hand_over(Work::Held(Held { peer, boots, arrived })).await
    }

    /// What is on disk of the boots that the agent names.
    async fn cursors(&self, hello: &v1::Hello) -> Result<Vec<v1::Cursor>, End> {
        let mut boots: Vec<BootId> = hello.buffered.iter().map(|range| BootId(range.boot)).collect();
        boots.push(self.boot);
        boots.sort_unstable();
        boots.dedup();
        let (reply, cursors) = oneshot::channel();
        self.hand_over(Work::Cursors(self.peer.agent.clone(), boots, reply)).await?;
        cursors.await.map_err(|_| End::stopping())
    }

    fn welcome(&self, cursors: Vec<v1::Cursor>) -> v1::Welcome {
        let limits = &self.shared.limits;
        v1::Welcome {
            protocol_version: PROTOCOL_VERSION,
            collector: self.shared.collector.clone(),
            cursors,
            plan_version: self.plans.borrow().version.as_str().to_owned(),
            unacknowledged_batches_max: limits.unacknowledged_batches_max,
            batch_bytes_max: u32::try_from(limits.batch_bytes_max).unwrap_or(u32::MAX),
            batch_rows_max: limits.batch_rows_max,
        }
    }
}

fn check_hello(hello: &v1::Hello) -> Result<(), End> {
    if hello.protocol_version != PROTOCOL_VERSION {
        return Err(End::invalid(Status::failed_precondition(format!(
            "the agent speaks version {} of the protocol and this collector version {PROTOCOL_VERSION}: \
             update the older of the two",
            hello.protocol_version
        ))));
    }
    let wrong = if hello.boot == 0 {
        "Hello with boot 0: a boot is a random number other than 0".to_owned()
    } else if hello.software.len() > SOFTWARE_BYTES_MAX {
        format!("Hello with {} bytes of `software`: allowed are {SOFTWARE_BYTES_MAX}", hello.software.len())
    } else if hello.buffered.len() > BOOTS_MAX {
        format!("Hello with {} boots: allowed are {BOOTS_MAX}", hello.buffered.len())
    } else if let Some(range) = hello.buffered.iter().find(|range| !is_range(range)) {
        let v1::BootRange { boot, first_sequence, next_sequence } = range;
        format!(
            "Hello with sequences {first_sequence} to {next_sequence} of boot {boot}: all are 1 or more, and in order"
        )
    } else {
        return Ok(());
    };
    Err(End::invalid(Status::invalid_argument(wrong)))
}

const fn is_range(range: &v1::BootRange) -> bool {
    range.boot != 0 && range.first_sequence != 0 && range.first_sequence <= range.next_sequence
}
