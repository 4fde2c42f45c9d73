//! Does a cut-off tell where it happened, and do the phases fit into the total?

use std::sync::atomic::{AtomicU64, Ordering};

use uitwijk_model::WallTime;

use super::*;

/// A clock that a test moves by hand.
#[derive(Debug, Default)]
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn wall(&self) -> WallTime {
        WallTime::default()
    }
    fn elapsed(&self) -> Elapsed {
        Elapsed::from_micros(self.0.load(Ordering::Relaxed))
    }
}

type Mark = (u64, fn(&Trail));

const DNS: Mark = (0, |t| t.enter(Step::Dns));
const RESOLVED: Mark = (10, |t| t.leave(Step::Dns));
const CONNECT: Mark = (10, |t| t.enter(Step::Connect));
const CONNECTED: Mark = (30, |t| t.leave(Step::Connect));
const TLS: Mark = (30, |t| t.enter(Step::Tls));
const SECURE: Mark = (60, |t| t.leave(Step::Tls));
const WRITE: Mark = (70, |t| t.writing(t.now()));
const SENT: Mark = (75, Trail::sent);
const RECEIVED: Mark = (175, Trail::received);
const ANSWERED: Mark = (200, Trail::answered);

/// Applies the marks, cuts off at 1000, and shows fault, phases and total.
fn check(marks: &[Mark], expected: &str) {
    let clock = Arc::new(HandClock::default());
    let trail = Trail::new(clock.clone());
    trail.depart();
    for (at, mark) in marks {
        clock.0.store(*at, Ordering::Relaxed);
        mark(&trail);
    }
    clock.0.store(1000, Ordering::Relaxed);
    trail.stop();
    let phases = trail.phases().named().map(|(_, p)| p.map_or("-".to_owned(), |e| e.as_micros().to_string()));
    let shown = format!("{} {} {}", trail.cut_off().outcome.reason(), phases.join(" "), trail.total().as_micros());
    assert_eq!(shown, expected);
}

#[test]
fn the_phase_that_was_cut_off_tells_the_fault_and_later_ones_are_absent() {
    let all = [DNS, RESOLVED, CONNECT, CONNECTED, TLS, SECURE, WRITE, SENT, RECEIVED];
    check(&[], "dns_timeout - - - - - - 1000");
    check(&all[..1], "dns_timeout 1000 - - - - - 1000");
    check(&all[..3], "connect_timeout 10 990 - - - - 1000");
    check(&all[..5], "tls_timeout 10 20 970 - - - 1000");
    check(&all[..7], "send_timeout 10 20 30 930 - - 1000");
    check(&all[..8], "wait_timeout 10 20 30 5 925 - 1000");
    check(&all, "transfer_timeout 10 20 30 5 100 825 1000");
}

#[test]
fn a_complete_attempt_ends_with_its_last_byte() {
    let all = [DNS, RESOLVED, CONNECT, CONNECTED, TLS, SECURE, WRITE, SENT, RECEIVED, ANSWERED];
    check(&all, "transfer_timeout 10 20 30 5 100 25 200");
}

#[test]
fn an_answer_that_overtakes_its_request_ends_the_sending() {
    check(&[WRITE, RECEIVED, (180, |t| t.writing(t.now())), ANSWERED], "transfer_timeout - - - 105 0 25 200");
}

#[test]
fn a_redirect_starts_the_marks_anew_and_keeps_the_total() {
    let marks =
        [DNS, RESOLVED, CONNECT, CONNECTED, (400, |t: &Trail| t.redirected(302)), (400, |t| t.enter(Step::Dns))];
    check(&marks, "dns_timeout 600 - - - - - 1000");
}

#[test]
fn a_request_that_did_not_leave_in_full_was_not_sent() {
    let trail = Trail::new(Arc::new(HandClock::default()));
    assert!(trail.has_send_failed(), "nothing was written");
    trail.writing(trail.now());
    assert!(trail.has_send_failed(), "it is still on its way");
    trail.sent();
    assert!(!trail.has_send_failed());
    trail.write_failed();
    assert!(trail.has_send_failed());
    trail.received();
    assert!(!trail.has_send_failed(), "an answer came all the same");
}
