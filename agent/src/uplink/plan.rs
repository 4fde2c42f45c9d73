//! How does the plan of a collector come to the agent?

use tokio::sync::{mpsc, watch};
use tonic::transport::Channel;
use tonic::{Code, Status};
use uitwijk_model::PlanVersion;
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::{PlanUpdate, WatchPlanRequest};

use super::backoff::Backoff;

/// A plan larger than this is refused by the client; it would not fit the agent's memory budget either.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// News of one collector's plan.
#[derive(Debug)]
pub enum PlanNews {
    /// A plan, unchecked.
    Update(PlanUpdate),
    /// It has the plan of this version, which we named first.
    Has(String),
    /// The collector does not tell; it is asked again.
    Failed(Status),
}

/// Hands on the plans of a collector, until it is aborted with the connection. `collector` is its place in the
/// configuration.
pub(super) async fn watch(
    channel: Channel,
    collector: usize,
    running: watch::Receiver<Option<PlanVersion>>,
    news: mpsc::Sender<(usize, PlanNews)>,
    seed: Option<u64>,
) {
    let mut client = FleetClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut backoff = Backoff::new(seed);
    loop {
        let known_version = running.borrow().as_ref().map(ToString::to_string).unwrap_or_default();
        let ended = updates(&mut client, known_version, collector, &news, &mut backoff).await;
        // That the connection is gone is told with the stream.
        let failed = !matches!(ended.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal);
        if failed && news.send((collector, PlanNews::Failed(ended))).await.is_err() {
            return;
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn updates(
    client: &mut FleetClient<Channel>,
    known_version: String,
    collector: usize,
    news: &mpsc::Sender<(usize, PlanNews)>,
    backoff: &mut Backoff,
) -> Status {
    let mut updates = match client.watch_plan(WatchPlanRequest { known_version }).await {
        Ok(response) => response.into_inner(),
        Err(status) => return status,
    };
    loop {
        match updates.message().await {
            Ok(Some(update)) => {
                backoff.reset();
                if news.send((collector, PlanNews::Update(update))).await.is_err() {
                    return Status::cancelled("nobody takes plans any more");
                }
            }
            Ok(None) => return Status::unavailable("the collector ended the watch"),
            Err(status) => return status,
        }
    }
}
