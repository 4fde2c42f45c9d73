//! Was it done?
//!
//! Equal answers in a row are one segment. Needed is executed when the serving region turns inside it, or up to 60 s after,
//! else missed. A turn that belongs to no need is unnecessary.

use uitwijk_model::WallTime;

use crate::need::{Answer, Step};
use crate::rule::{Micros, secs};

/// A turn so long after the need ended still counts.
const GRACE: Micros = secs(60);

/// Was it done?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Executed {
    /// Needed, and done.
    Executed,
    /// Needed, not done.
    Missed,
    /// Done, not needed or futile.
    Unnecessary,
    /// Neither.
    None,
}

/// A stretch with one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First moment.
    pub from: WallTime,
    /// First moment after it.
    pub to: WallTime,
    /// What the rule says.
    pub answer: Answer,
    /// Was it done?
    pub executed: Executed,
}

/// Segments of answers, crossed with the turns of the serving region.
pub(crate) fn cross(steps: &[Step], from: WallTime, to: WallTime) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for step in steps {
        let at = WallTime::from_micros(step.at);
        match segments.last_mut() {
            Some(last) if last.answer == step.answer => {}
            last => {
                if let Some(last) = last {
                    last.to = at;
                }
                let from = if segments.is_empty() { from } else { at };
                segments.push(Segment { from, to, answer: step.answer, executed: Executed::None });
            }
        }
    }
    let turns = steps.windows(2).filter(|pair| pair[0].active != pair[1].active).map(|pair| pair[1].at);
    let mut turns: Vec<Micros> = turns.collect();
    for s in segments.iter_mut().filter(|s| s.answer == Answer::RegionDown) {
        let (from, to) = (s.from.as_micros(), s.to.as_micros().saturating_add(GRACE));
        let before = turns.len();
        turns.retain(|turn| !(from..=to).contains(turn));
        s.executed = if turns.len() < before { Executed::Executed } else { Executed::Missed };
    }
    for s in segments.iter_mut().filter(|s| s.answer != Answer::RegionDown) {
        if turns.iter().any(|turn| (s.from.as_micros()..s.to.as_micros()).contains(turn)) {
            s.executed = Executed::Unnecessary;
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `.` healthy, `N` needed, `F` futile, lower case after the serving region turned; a letter is 10 s.
    fn check(steps: &str, said: &str) {
        let step = |(i, c): (usize, char)| Step {
            at: secs(10 * i.cast_signed() as i64),
            answer: match c.to_ascii_uppercase() {
                'N' => Answer::RegionDown,
                'F' => Answer::FrontDoor,
                _ => Answer::Healthy,
            },
            active: usize::from(c.is_ascii_lowercase() || c == ':'),
        };
        let all: Vec<Step> = steps.chars().enumerate().map(step).collect();
        let end = WallTime::from_micros(secs(10 * all.len().cast_signed() as i64));
        let segments = cross(&all, WallTime::from_micros(0), end);
        let text = segments
            .iter()
            .map(|s| format!("{:?} {}s {:?}", s.answer, s.to.micros_since(s.from) / 1_000_000, s.executed));
        assert_eq!(text.collect::<Vec<_>>().join(", "), said);
    }

    #[test]
    fn need_is_crossed_with_turns() {
        check("...", "Healthy 30s None");
        check("..NNN..", "Healthy 20s None, RegionDown 30s Missed, Healthy 20s None");
        check("..NNn:::::::..", "Healthy 20s None, RegionDown 30s Executed, Healthy 90s Unnecessary");
        check("..NNn::", "Healthy 20s None, RegionDown 30s Executed, Healthy 20s None");
        check("..::", "Healthy 40s Unnecessary");
        check("..Fff", "Healthy 20s None, FrontDoor 30s Unnecessary");
    }

    #[test]
    fn a_turn_a_minute_after_still_counts() {
        check("NN......:", "RegionDown 20s Executed, Healthy 70s None");
        check("NN.......:", "RegionDown 20s Missed, Healthy 80s Unnecessary");
    }
}
