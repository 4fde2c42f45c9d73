//! What does one shadow know, and what is new in what it says?

use uitwijk_judge::Revision;
use uitwijk_model::{AgentId, Clock, Plan, PolicyOverrides, ServiceId, ShadowName, WallTime};

use super::record::Shadowed;
use crate::ingest::JudgeInput;
use crate::judging::bench::Bench;
use crate::store::AcceptedRows;

/// One shadow: its judges, fed and asked like the real ones.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) shadow: ShadowName,
    bench: Bench,
}

impl Member {
    pub(super) fn new(plan: &Plan, shadow: ShadowName, overrides: PolicyOverrides) -> Self {
        Self { bench: Bench::under(plan, overrides), shadow }
    }

    pub(super) fn rows(&mut self, rows: &AcceptedRows) {
        self.bench.rows(rows);
    }

    pub(super) fn frontier(&mut self, agent: &AgentId, through: WallTime) {
        self.bench.frontier(agent, through);
    }

    /// Hands back what it said before, oldest first.
    pub(super) fn restore(&mut self, said: &[Revision]) {
        let services: Vec<ServiceId> = self.bench.services().cloned().collect();
        for service in services {
            let of_it: Vec<Revision> = said.iter().filter(|r| r.service == service).cloned().collect();
            self.bench.restore(&service, &of_it);
        }
    }

    pub(super) fn take(&mut self, input: &JudgeInput) {
        match input {
            JudgeInput::Rows(rows) => self.rows(rows),
            JudgeInput::Frontier { agent, through } => self.frontier(agent, *through),
            // A plan makes all shadows anew.
            JudgeInput::Plan(_) => {}
        }
    }

    /// Asks every judge whose turn it is.
    pub(super) fn judge(&mut self, now: WallTime, clock: &dyn Clock) -> Vec<Shadowed> {
        let mut fresh = Vec::new();
        for seat in self.bench.ready(now) {
            let started = clock.elapsed();
            let turn = self.bench.advance(seat, now);
            self.bench.took(seat, clock.elapsed().since(started));
            let shadow = &self.shadow;
            fresh.extend(turn.revisions.into_iter().map(|revision| Shadowed { shadow: shadow.clone(), revision }));
        }
        fresh
    }

    pub(super) fn next_turn(&self) -> Option<WallTime> {
        self.bench.next_turn()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bench.bytes()
    }
}
