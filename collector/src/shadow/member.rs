//! What does one shadow know, and what is new in what it says?

use uitwijk_judge::{Revision, Taken};
use uitwijk_model::{AgentId, Clock, Plan, PolicyOverrides, ServiceId, ShadowName, WallTime};

use super::record::Shadowed;
use crate::ingest::JudgeInput;
use crate::judging::bench::Bench;
use crate::store::Samples;
use crate::switches::HeardSwitch;

/// One shadow: its judges, fed and asked like the real ones.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) shadow: ShadowName,
    bench: Bench,
}

impl Member {
    pub(super) fn new(plan: &Plan, shadow: ShadowName, overrides: PolicyOverrides, bytes_max: usize) -> Self {
        Self { bench: Bench::under(plan, overrides, bytes_max), shadow }
    }

    pub(super) fn rows(&mut self, rows: &Samples) {
        self.bench.rows(rows);
    }

    pub(super) fn frontier(&mut self, agent: &AgentId, through: WallTime) {
        self.bench.frontier(agent, through);
    }

    pub(super) fn switch(&mut self, heard: &HeardSwitch) -> Option<Taken> {
        self.bench.switch(heard)
    }

    /// Hands back what it said before, oldest first.
    pub(super) fn restore(&mut self, said: &[Revision]) {
        let services: Vec<ServiceId> = self.bench.services().cloned().collect();
        for service in services {
            let of_it: Vec<Revision> = said.iter().filter(|r| r.service == service).cloned().collect();
            self.bench.restore(&service, &of_it);
        }
    }

    /// Takes something in; answers whether it is about a time that was forgotten.
    pub(super) fn take(&mut self, input: &JudgeInput) -> bool {
        match input {
            JudgeInput::Rows(rows) => self.rows(rows),
            JudgeInput::Frontier { agent, through } => self.frontier(agent, *through),
            JudgeInput::Switch(heard) => return self.switch(heard) == Some(Taken::TooLate),
            // A plan makes all shadows anew.
            JudgeInput::Plan(_) => {}
        }
        false
    }

    /// Asks every judge whose turn it is.
    pub(super) fn judge(&mut self, now: WallTime, clock: &dyn Clock) -> Vec<Shadowed> {
        let mut fresh = Vec::new();
        for seat in self.bench.ready(now) {
            let started = clock.elapsed();
            let turn = self.bench.advance(seat, now);
            self.bench.took(&turn, clock.elapsed().since(started));
            let shadow = &self.shadow;
            fresh.extend(turn.revisions.into_iter().map(|revision| Shadowed { shadow: shadow.clone(), revision }));
        }
        self.bench.rest(clock.wall());
        fresh
    }

    pub(super) fn next_turn(&self) -> Option<WallTime> {
        self.bench.next_turn()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bench.bytes()
    }
}
