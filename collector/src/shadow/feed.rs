//! How do shadows get what the real judge got, without the real judge waiting?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use crate::ingest::JudgeInput;
use crate::metrics::ShadowMetrics;

/// Messages that may wait for the shadows. What comes when it is full is read from the store later.
const QUEUE: usize = 256;

/// The real judge's end.
#[derive(Debug, Clone)]
pub struct Feed {
    inputs: mpsc::Sender<JudgeInput>,
    state: Arc<State>,
    metrics: ShadowMetrics,
}

/// What both ends know.
#[derive(Debug, Default)]
struct State {
    /// Somebody listens: the plan has shadows.
    wanted: AtomicBool,
    /// Something did not fit.
    missed: AtomicBool,
    /// The real judge runs, so shadows may read the store.
    begun: AtomicBool,
}

/// The shadows' end.
#[derive(Debug)]
pub(super) struct Inputs {
    pub(super) queue: mpsc::Receiver<JudgeInput>,
    state: Arc<State>,
}

pub(super) fn channel(metrics: ShadowMetrics) -> (Feed, Inputs) {
    let (inputs, queue) = mpsc::channel(QUEUE);
    let state = Arc::new(State::default());
    (Feed { inputs, state: state.clone(), metrics }, Inputs { queue, state })
}

impl Feed {
    /// Whether measurements are worth keeping until they are handed on. Plans always are: one may bring shadows.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.state.wanted.load(Ordering::Relaxed)
    }

    /// From now on shadows may read the store; before, the real judge does.
    pub fn begin(&self) {
        self.state.begun.store(true, Ordering::Release);
    }

    /// Hands something on, and never waits.
    pub fn offer(&self, input: JudgeInput) {
        if !self.is_wanted() && !matches!(input, JudgeInput::Plan(_)) {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.inputs.try_send(input) {
            self.metrics.missed.inc();
            self.state.missed.store(true, Ordering::Release);
        }
    }
}

impl Inputs {
    /// Tells the real judge whether to hand on.
    pub(super) fn want(&self, wanted: bool) {
        self.state.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Whether the real judge began to run since this was asked before.
    pub(super) fn begun(&self) -> bool {
        self.state.begun.swap(false, Ordering::AcqRel)
    }

    /// Whether something was missed since this was asked before.
    pub(super) fn missed(&self) -> bool {
        self.state.missed.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use uitwijk_model::{AgentId, WallTime};

    use super::*;

    #[test]
    fn nothing_waits_and_what_does_not_fit_is_noticed() {
        let metrics = ShadowMetrics::default();
        let (feed, mut inputs) = channel(metrics.clone());
        let frontier =
            || JudgeInput::Frontier { agent: AgentId::new("nl-1").unwrap(), through: WallTime::from_micros(1) };
        feed.offer(frontier());
        assert!(inputs.queue.try_recv().is_err(), "nobody listens");
        inputs.want(true);
        (0..QUEUE).for_each(|_| feed.offer(frontier()));
        assert!(!inputs.missed());
        feed.offer(frontier());
        assert!(inputs.missed() && !inputs.missed());
        assert_eq!((metrics.missed.get(), inputs.queue.len()), (1, QUEUE));
    }
}
