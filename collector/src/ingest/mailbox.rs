//! How does the committer answer a stream without ever waiting for it?
//!
//! A mailbox keeps what is to be sent to one agent. Cursors are merged: a slow reader gets the newest of each boot and not each
//! one that was. So a mailbox is small, whoever does not empty it, and whoever fills it never waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tonic::Status;
use uitwijk_model::{BootId, Sequence};
use uitwijk_proto::v1::{self, RefusalReason, from_collector::Message};

/// Replies that may wait for a reader; an agent has one heartbeat under way at a time.
const REPLIES_MAX: usize = 8;

/// Rows refused, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Refused([u64; 8]);

impl Refused {
    pub(super) fn add(&mut self, reason: RefusalReason, rows: u64) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count += rows;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that occurred.
    pub(super) fn each(&self) -> impl Iterator<Item = (RefusalReason, u64)> + '_ {
        let reason = |i: usize| i32::try_from(i).ok().and_then(|i| RefusalReason::try_from(i).ok());
        self.0.iter().enumerate().filter(|(_, count)| **count > 0).filter_map(move |(i, n)| Some((reason(i)?, *n)))
    }
}

/// What is to be sent to one agent.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    letters: Mutex<Letters>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Letters {
    replies: VecDeque<Message>,
    cursors: BTreeMap<BootId, Sequence>,
    refused: Refused,
    /// The last letter; after it has been taken there are no more.
    end: Option<Status>,
    ended: bool,
}

impl Mailbox {
    /// The welcome, or the reply to a heartbeat; of too many the oldest goes.
    pub(super) fn reply(&self, message: Message) {
        let mut letters = self.lock();
        if letters.replies.len() >= REPLIES_MAX {
            letters.replies.pop_front();
        }
        letters.replies.push_back(message);
        drop(letters);
        self.arrived.notify_one();
    }

    /// Everything of a boot below this is on disk; these rows were refused on the way.
    pub(super) fn acknowledge(&self, boot: BootId, next: Sequence, refused: &Refused) {
        let mut letters = self.lock();
        letters.cursors.insert(boot, next);
        letters.refused.merge(refused);
        drop(letters);
        self.arrived.notify_one();
    }

    /// The stream ends with this; only the first end counts.
    pub(super) fn end(&self, status: Status) {
        let mut letters = self.lock();
        if !letters.ended {
            letters.ended = true;
            letters.end = Some(status);
        }
        drop(letters);
        self.arrived.notify_one();
    }

    /// The stream ends well, after what waits was taken.
    pub(super) fn finish(&self) {
        self.lock().ended = true;
        self.arrived.notify_one();
    }

    /// The next message, or the end. Waits until there is one; after the end there is none.
    pub(super) async fn next(&self) -> Option<Result<v1::FromCollector, Status>> {
        loop {
            if let Some(letter) = self.take() {
                return letter;
            }
            self.arrived.notified().await;
        }
    }

    /// `Some(None)` says that everything was taken.
    fn take(&self) -> Option<Option<Result<v1::FromCollector, Status>>> {
        let mut letters = self.lock();
        if let Some(reply) = letters.replies.pop_front() {
            return Some(Some(Ok(v1::FromCollector { message: Some(reply) })));
        }
        if !letters.cursors.is_empty() {
            let acknowledgement = Message::Acknowledgement(letters.take_acknowledgement());
            return Some(Some(Ok(v1::FromCollector { message: Some(acknowledgement) })));
        }
        match letters.end.take() {
            Some(status) => Some(Some(Err(status))),
            None if letters.ended => Some(None),
            None => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Letters {
    fn take_acknowledgement(&mut self) -> v1::Acknowledgement {
        let cursors = std::mem::take(&mut self.cursors);
        v1::Acknowledgement {
            cursors: cursors.into_iter().map(|(boot, next)| v1::Cursor { boot: boot.0, next_sequence: next }).collect(),
            refused: self.refused.each().map(|(r, count)| v1::Refusal { reason: r.into(), count }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cursors_are_merged_and_the_end_comes_last_and_once() {
        let mailbox = Mailbox::default();
        let mut refused = Refused::default();
        refused.add(RefusalReason::Past, 3);
        mailbox.acknowledge(BootId(1), 5, &refused);
        mailbox.acknowledge(BootId(1), 9, &refused);
        mailbox.end(Status::aborted("first"));
        mailbox.end(Status::aborted("second"));
        let message = mailbox.next().await.unwrap().unwrap().message;
        let Some(Message::Acknowledgement(ack)) = message else { panic!("{message:?}") };
        assert_eq!(ack.cursors, [v1::Cursor { boot: 1, next_sequence: 9 }]);
        assert_eq!(ack.refused, [v1::Refusal { reason: RefusalReason::Past.into(), count: 6 }]);
        assert_eq!(mailbox.next().await.unwrap().unwrap_err().message(), "first");
        assert!(mailbox.next().await.is_none());
    }

    #[tokio::test]
    async fn replies_nobody_reads_do_not_pile_up() {
        let mailbox = Mailbox::default();
        for sent_us in 0..100 {
            mailbox.reply(Message::HeartbeatReply(v1::HeartbeatReply { sent_us, ..Default::default() }));
        }
        mailbox.end(Status::ok(""));
        let mut replies = 0;
        while let Some(Ok(_)) = mailbox.next().await {
            replies += 1;
        }
        assert_eq!(replies, REPLIES_MAX);
    }
}
