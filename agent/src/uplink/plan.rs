//! How does the plan of a collector come to the agent?

use tokio::sync::{mpsc, watch};
use tonic::transport::Channel;
use uitwijk_model::PlanVersion;
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::{PlanUpdate, WatchPlanRequest};

/// A plan larger than this is refused by the client; it would not fit the agent's memory budget either.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// News of one collector's plan.
#[derive(Debug)]
pub enum PlanNews {
    /// A plan, unchecked.
    Update(PlanUpdate),
    /// It has the plan of this version, which we named first.
    Has(String),
    /// The watch ended; for the log, once per kind.
    Failed(tonic::Status),
}

/// Hands on the plans of a collector, until the connection ends. `collector` is its place in the configuration.
pub(super) async fn watch(
    channel: Channel,
    collector: usize,
    running: watch::Receiver<Option<PlanVersion>>,
    news: mpsc::Sender<(usize, PlanNews)>,
) {
    let known_version = running.borrow().as_ref().map(ToString::to_string).unwrap_or_default();
    let mut client = FleetClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let failed = match client.watch_plan(WatchPlanRequest { known_version }).await {
        Err(status) => status,
        Ok(response) => {
            let mut updates = response.into_inner();
            loop {
                match updates.message().await {
                    Ok(Some(update)) => {
                        if news.send((collector, PlanNews::Update(update))).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => break tonic::Status::unavailable("the collector ended the watch"),
                    Err(status) => break status,
                }
            }
        }
    };
    // Nobody listens any more only when the agent stops.
    let _ = news.send((collector, PlanNews::Failed(failed))).await;
}
