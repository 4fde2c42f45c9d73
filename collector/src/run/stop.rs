//! How does a collector stop so that nothing is lost?

use uitwijk_model::Millis;

use super::{Collector, RunError, ended};

impl Collector {
    /// Stops in order, within `stop_grace`.
    ///
    /// # Errors
    /// When it took longer, or when something failed on the way; it is stopped all the same.
    pub async fn stop(mut self, reason: &str) -> Result<(), RunError> {
        let grace = self.config.stop_grace;
        tracing::info!(reason, %grace, "the collector stops");
        let mut stage = "turning agents away";
        let ended = tokio::time::timeout(grace.into(), self.wind_down(&mut stage)).await;
        self.let_go().await;
        match ended {
            Ok(result) => result.inspect(|()| tracing::info!("the collector has stopped")),
            Err(_) => Err(RunError::Grace { grace, stage }),
        }
    }

    async fn wind_down(&mut self, stage: &mut &'static str) -> Result<(), RunError> {
        self.ready_file = None;
        self.health.set("grpc", Err("the collector stops".to_owned()));
        self.grpc_health.stop().await;
        self.stopping.cancel();

        *stage = "writing what came in";
        // The committer ends when no stream and no call can hand it work any more.
        self.gate.close();
        let written = match self.committer.take() {
            Some(committer) => committer.ended(self.config.stop_grace.into()).await,
            None => true,
        };

        *stage = "judging what came in";
        // The judge ends when nobody can feed it any more.
        self.reloader = None;
        let judged = self.judge.wait().await;
        self.shadows_end.wait().await;

        *stage = "ending open calls";
        let served = ended(&mut self.grpc).await;
        judged?;
        served?;
        if written { Ok(()) } else { Err(RunError::Unwritten) }
    }

    /// Ends what is left, whether it is done or not. The admin pages are the last, so that a stop can be watched.
    async fn let_go(&mut self) {
        if let Some(grpc) = &self.grpc {
            grpc.abort();
        }
        self.ending.cancel();
        // They end within a second, and how they end changes nothing any more.
        let _ = (&mut self.admin).await;
        let _ = (&mut self.retention).await;
        let _ = (&mut self.sealing).await;
    }

    /// How long a stop may take.
    #[must_use]
    pub fn stop_grace(&self) -> Millis {
        self.config.stop_grace
    }
}
