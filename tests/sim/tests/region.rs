//! Does a collector that is left alone decide in time, and do both agree when the other region is back after an hour?

use uitwijk_judge::{Cause, Execution, Need};
use uitwijk_model::Millis;
use uitwijk_sim as sim;

/// From the loss of the region to the published verdict: half of the hard window to count as failing (30 s), 180 s without a
/// break, a probe that waits for its timeout (8 s), the slot (10 s) and the grace (20 s) make 248 s.
const NEEDED_WITHIN: Millis = Millis::from_secs(250);
/// From the return to the same measurements in both. An agent that was not answered for an hour tries again within half a
/// minute, and what three agents kept of an hour is little.
const SAME_SET_WITHIN: Millis = Millis::from_secs(120);
/// From the return to the same final verdict in both: the window empties (60 s), and 180 s without failures end the episode;
/// slot and grace as above.
const SAME_VERDICT_WITHIN: Millis = Millis::from_secs(280);
/// Found beginning and end against the true ones: a slot, and half of the hard window.
const SPAN_WITHIN_US: u64 = 40_000_000;

#[test]
fn the_collector_that_is_left_decides_alone_and_both_agree_when_the_region_is_back() {
    for seed in [1, 2] {
        let story = sim::region_gone(seed).unwrap();
        println!("seed {seed}: {story}");
        let within = |found: Option<Millis>, bound| found.is_some_and(|after| after <= bound);
        assert!(within(story.needed_after, NEEDED_WITHIN), "seed {seed}: {story}");
        assert!(within(story.same_set_after, SAME_SET_WITHIN), "seed {seed}: {story}");
        assert!(within(story.same_verdict_after, SAME_VERDICT_WITHIN), "seed {seed}: {story}");
        let told = story.verdict.as_ref().map(|r| (r.need, r.cause, r.execution));
        assert_eq!(told, Some((Need::Needed, Cause::RegionDown, Execution::Missed)), "seed {seed}");
        let off = story.verdict.as_ref().and_then(|r| Some((r.from, r.to?))).map(|(from, to)| {
            from.micros_since(story.gone).unsigned_abs().max(to.micros_since(story.back).unsigned_abs())
        });
        assert!(off.is_some_and(|us| us <= SPAN_WITHIN_US), "seed {seed}: {off:?} microseconds off");
        assert_eq!(story.published_gone, 0, "seed {seed}: the collector that was gone said something meanwhile");
        assert!(story.report.broken.is_empty(), "seed {seed}: {:#?}", story.report.broken);
    }
}
