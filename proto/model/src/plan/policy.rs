//! By which numbers does the judge weigh?
//!
//! Every number of the algorithm is a field here, with its default. What each one trades is said at the field. Shares are
//! ratios of whole numbers and are compared as such (`a*d >= b*c`), never as floating point.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// A share between 0 and 1, written `50%` or `1/3`.
///
/// ```
/// use uitwijk_model::Ratio;
/// let third: Ratio = "1/3".parse().unwrap();
/// assert!(third.is_reached_by(2, 6) && !third.is_reached_by(1, 6));
/// assert_eq!("50%".parse::<Ratio>().unwrap().to_string(), "50%");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ratio {
    num: u32,
    den: u32,
}

/// A text that is not a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a share: write a percentage from 0% to 100% or a fraction such as 1/3, denominator at most 10000"
)]
pub struct RatioError(pub String);

impl Ratio {
    /// So many percent, at most 100.
    #[must_use]
    pub const fn percent(p: u32) -> Self {
        assert!(p <= 100);
        Self { num: p, den: 100 }
    }

    /// A fraction; at most 1, denominator 1 to 10,000.
    ///
    /// # Errors
    /// When it is not.
    pub fn new(num: u32, den: u32) -> Result<Self, RatioError> {
        if den == 0 || den > 10_000 || num > den {
            return Err(RatioError(format!("{num}/{den}")));
        }
        Ok(Self { num, den })
    }

    /// Numerator.
    #[must_use]
    pub const fn num(self) -> u32 {
        self.num
    }

    /// Denominator, never 0.
    #[must_use]
    pub const fn den(self) -> u32 {
        self.den
    }

    /// Whether `part` of `whole` is at least this share; false when `whole` is 0.
    #[must_use]
    pub fn is_reached_by(self, part: u64, whole: u64) -> bool {
        whole > 0 && u128::from(part) * u128::from(self.den) >= u128::from(whole) * u128::from(self.num)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 100 { write!(f, "{}%", self.num) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

impl FromStr for Ratio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, RatioError> {
        let bad = || RatioError(text.chars().take(80).collect());
        let number = |s: &str| match s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit()) {
            true => Err(bad()),
            false => s.parse::<u32>().map_err(|_| bad()),
        };
        if let Some(percent) = text.strip_suffix('%') {
            let p = number(percent)?;
            return if p <= 100 { Ok(Self::percent(p)) } else { Err(bad()) };
        }
        let (num, den) = text.split_once('/').ok_or_else(bad)?;
        Self::new(number(num)?, number(den)?).map_err(|_| bad())
    }
}

impl TryFrom<String> for Ratio {
    type Error = RatioError;
    fn try_from(text: String) -> Result<Self, RatioError> {
        text.parse()
    }
}

impl From<Ratio> for String {
    fn from(r: Ratio) -> String {
        r.to_string()
    }
}

/// The numbers of the judge. Each says its default and its range, and what it trades.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Hard impact: at least this share of requests fails over `hard_window`. Default 50%; more than 0% to 100%, not below
    /// `soft_share`. Higher: fewer switches for a partial fault; lower: flaps count as outages.
    pub hard_share: Ratio,
    /// Default 60s; a slot to 24h, not longer than `hard_duration` or `soft_window`. Longer: calmer, later.
    pub hard_window: Millis,
    /// Hard impact must hold unbroken for so long. Default 180s; a slot to 24h. Longer: no switch for a blip; the delay grows one
    /// for one.
    pub hard_duration: Millis,
    /// Soft impact: at least this share fails over `soft_window`. Default 10%; more than 0% to 100%. Higher: partial faults are
    /// found later or never.
    pub soft_share: Ratio,
    /// Default 300s; a slot to 24h, not longer than `soft_duration`. Longer: calmer, later.
    pub soft_window: Millis,
    /// Soft or slow impact must hold unbroken for so long. Default 600s; a slot to 24h. Longer: partial faults are found later.
    pub soft_duration: Millis,
    /// Slow impact: at least this share of answers is over the objective over `soft_window`. Default 25%; more than 0% to 100%.
    /// Higher: tolerance for tails; periods below the objective pass.
    pub slow_share: Ratio,
    /// An episode ends at the first slot of a stretch this long without impact. Default 180s; a slot to 24h. Longer: stable under
    /// flapping; the end is reported later.
    pub clear: Millis,
    /// A vantage whose credible controls fail at least this much is sick: it has no vote. Default 50%; 0% to 100%. Higher: keeps
    /// voices; a sick one votes.
    pub control_sick: Ratio,
    /// From here it is suspect: half a vote. Default 20%; 0% to 100%, not above `control_sick`.
    pub control_suspect: Ratio,
    /// A failure domain (a control, a partner, a region, the entry) fails for a vantage from this share on. Default 30%; 0% to
    /// 100%.
    pub domain_failing: Ratio,
    /// A vantage for which at least this share of domains fails is sick. Default 75%; 0% to 100%. Higher: keeps voices in wide
    /// faults; a sick majority is believed.
    pub domains_sick: Ratio,
    /// Lonely failures: this share of a vantage's targets fails while the median of the others is clean. Default 50%; 0% to 100%.
    /// Higher: keeps a lone true witness; a lone liar counts.
    pub lonely_sick: Ratio,
    /// From here it is suspect. Default 25%; 0% to 100%, not above `lonely_sick`.
    pub lonely_suspect: Ratio,
    /// A sick vantage stays without a vote until it was clean for so long. Default 120s; 1ms to 24h. Longer: calmer; a healed
    /// vantage is heard later.
    pub trust_hold: Millis,
    /// Least number of trusted vantages, in different zones. Default 2; 1 to 10000. Higher: fewer guesses, more inconclusive.
    #[schemars(range(min = 1, max = 10_000))]
    pub vantages_min: u32,
    /// Least number of samples of the public name in `hard_window`. Default 12; 1 to 1000000. Higher: fewer guesses, more
    /// inconclusive.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub samples_min: u32,
    /// The other region is no better when it fares worse than this share of the active one. Default 50%; 0% to 100%. Lower: only
    /// clear wins are needed; some helpful moves are called futile.
    pub better_share: Ratio,
    /// … or fails this much more (of all requests) than nothing. Default 10%; 0% to 100%.
    pub better_margin: Ratio,
    /// A service is affected when bad endpoints carry at least this share of its weight. Default 1/3; 0% to 100%. Higher: ignores
    /// side functions; the critical ones must be marked.
    pub endpoint_weight: Ratio,
    /// A partner is to blame when it fails this much above the median control. Default 20%; 0% to 100%.
    pub partner_margin: Ratio,
    /// For the first so long of a hard fault blame looks at `hard_window`, then at `soft_window`. Default 300s; 1ms to 24h.
    pub blame_early: Millis,
    /// A turn of the blame towards needed must hold for so long. Default 60s; 1ms to 24h. Longer: calmer; a recovery of one region
    /// is seen later.
    pub blame_hold: Millis,
    /// The serving region is known when at least this share of public answers tells it. Default 50%; more than 0% to 100%.
    pub served_share: Ratio,
    /// A switch this long after the end of need still counts as executed. Default 60s; 1ms to 24h.
    pub switch_grace: Millis,
    /// A window for one zone excuses failures up to the share of the zone plus this. Default 10%; 0% to 100%.
    pub maintenance_margin: Ratio,
    /// Planned maintenance must be announced so many working days ahead. Default 10; 0 to 365.
    #[schemars(range(max = 365))]
    pub maintenance_notice_days: u32,
    /// A provisional verdict waits so long after the end of a slot. Default 20s; 1ms to 31d. The default is 8s of probe timeout,
    /// and delivery. Longer: fewer revisions, later verdicts.
    pub grace: Millis,
    /// After so long a verdict is final even if records are missing. Default 24h; 1ms to 31d, not shorter than `grace`.
    pub horizon: Millis,
    /// A clock lead or lag from here on is corrected. Default 2s; 1ms to 24h.
    pub clock_correct: Millis,
    /// From here on it is flagged as well. Default 5s; 1ms to 24h, not shorter than `clock_correct`.
    pub clock_flag: Millis,
    /// Answers are clearly slower than usual when they take at least this share longer. Default 50%; 0% to 100%. It is told, and
    /// never changes a need. Higher: only great changes are told; lower: the time of day is.
    pub drift_share: Ratio,
    /// They must be slower for so long. Default 180s; a slot to 24h. Longer: fewer episodes, later.
    pub drift_duration: Millis,
    /// An agent must have answers of so long before it can tell what is usual. Default 300s; a slot to 24h. Longer: surer; blind for
    /// longer after a start or a switch.
    pub drift_warmup: Millis,
    /// What is usual reaches back so far, and what lasts longer becomes usual. Default 24h; a slot to 31d, not shorter than
    /// `drift_warmup`.
    pub drift_baseline: Millis,
    /// Slack of the CUSUM in standard deviations of the noise. Default 50%; 0% to 100%. Higher: only greater changes are found.
    pub drift_slack: Ratio,
    /// Its threshold in standard deviations. Default 8; 1 to 100. Higher: later and surer.
    #[schemars(range(min = 1, max = 100))]
    pub drift_threshold: u32,
}

impl Default for Policy {
    fn default() -> Self {
        let secs = Millis::from_secs;
        Self {
            hard_share: Ratio::percent(50),
            hard_window: secs(60),
            hard_duration: secs(180),
            soft_share: Ratio::percent(10),
            soft_window: secs(300),
            soft_duration: secs(600),
            slow_share: Ratio::percent(25),
            clear: secs(180),
            control_sick: Ratio::percent(50),
            control_suspect: Ratio::percent(20),
            domain_failing: Ratio::percent(30),
            domains_sick: Ratio::percent(75),
            lonely_sick: Ratio::percent(50),
            lonely_suspect: Ratio::percent(25),
            trust_hold: secs(120),
            vantages_min: 2,
            samples_min: 12,
            better_share: Ratio::percent(50),
            better_margin: Ratio::percent(10),
            endpoint_weight: Ratio { num: 1, den: 3 },
            partner_margin: Ratio::percent(20),
            blame_early: secs(300),
            blame_hold: secs(60),
            served_share: Ratio::percent(50),
            switch_grace: secs(60),
            maintenance_margin: Ratio::percent(10),
            maintenance_notice_days: 10,
            grace: secs(20),
            horizon: secs(86_400),
            clock_correct: secs(2),
            clock_flag: secs(5),
            drift_share: Ratio::percent(50),
            drift_duration: secs(180),
            drift_warmup: secs(300),
            drift_baseline: secs(86_400),
            drift_slack: Ratio::percent(50),
            drift_threshold: 8,
        }
    }
}

impl Policy {
    /// Content hash that each verdict carries.
    #[must_use]
    pub fn version(&self) -> String {
        super::content_hash(serde_json::to_string(self).expect("a policy is plain data").as_bytes())
    }

    /// The same policy with every length of time multiplied by `num / den`, except clocks and horizon: what a fleet with
    /// a shorter slot needs to decide after as many slots.
    #[must_use]
    pub fn scaled(&self, num: u64, den: u64) -> Self {
        let scale = |m: Millis| Millis((m.0.saturating_mul(num) / den.max(1)).max(1));
        let mut p = self.clone();
        for field in [
            &mut p.hard_window,
            &mut p.hard_duration,
            &mut p.soft_window,
            &mut p.soft_duration,
            &mut p.clear,
            &mut p.trust_hold,
            &mut p.blame_early,
            &mut p.blame_hold,
            &mut p.switch_grace,
            &mut p.grace,
            &mut p.drift_duration,
            &mut p.drift_warmup,
            &mut p.drift_baseline,
        ] {
            *field = scale(*field);
        }
        p
    }
}

#[cfg(test)]
mod tests;
