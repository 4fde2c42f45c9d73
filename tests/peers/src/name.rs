//! What are the rules called?

use std::fmt;
use std::str::FromStr;

use uitwijk_model::AgentId;

/// A rule, with the vantage it looks from where it has only one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "described in the files under `rules`, under the names that `Display` gives")]
pub enum RuleName {
    Route53,
    Prometheus(AgentId),
    Gatus(AgentId),
    Majority,
    Checkly,
    Quorum,
    QuorumPublic,
    Edge,
    BurnRate,
    Bayes,
    Never,
}

/// A text that names no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no rule: known are route53, prom-1m@AGENT, gatus-3@AGENT, majority, checkly-50%x2, quorum-3of6-3m, \
     quorum+public, edge-3of4, burnrate-99.5, bayes-pooled and never"
)]
pub struct UnknownRule(pub String);

impl RuleName {
    const WIDE: [(Self, &'static str); 9] = [
        (Self::Route53, "route53"),
        (Self::Majority, "majority"),
        (Self::Checkly, "checkly-50%x2"),
        (Self::Quorum, "quorum-3of6-3m"),
        (Self::QuorumPublic, "quorum+public"),
        (Self::Edge, "edge-3of4"),
        (Self::BurnRate, "burnrate-99.5"),
        (Self::Bayes, "bayes-pooled"),
        (Self::Never, "never"),
    ];

    /// Every rule of a fleet with these agents, those with one vantage once for each.
    #[must_use]
    pub fn all<'a>(agents: impl IntoIterator<Item = &'a AgentId> + Clone) -> Vec<Self> {
        let mut all = vec![Self::Route53];
        all.extend(agents.clone().into_iter().cloned().map(Self::Prometheus));
        all.extend(agents.into_iter().cloned().map(Self::Gatus));
        all.extend(Self::WIDE.into_iter().skip(1).map(|(rule, _)| rule));
        all
    }

    /// The vantage it looks from, where it has only one.
    #[must_use]
    pub const fn vantage(&self) -> Option<&AgentId> {
        match self {
            Self::Prometheus(agent) | Self::Gatus(agent) => Some(agent),
            _ => None,
        }
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prometheus(agent) => f.pad(&format!("prom-1m@{agent}")),
            Self::Gatus(agent) => f.pad(&format!("gatus-3@{agent}")),
            wide => f.pad(Self::WIDE.iter().find(|(rule, _)| rule == wide).map_or("", |(_, name)| name)),
        }
    }
}

impl FromStr for RuleName {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        let unknown = || UnknownRule(text.chars().take(80).collect());
        let from = |agent: &str| AgentId::new(agent).map_err(|_| unknown());
        if let Some(agent) = text.strip_prefix("prom-1m@") {
            return from(agent).map(Self::Prometheus);
        }
        if let Some(agent) = text.strip_prefix("gatus-3@") {
            return from(agent).map(Self::Gatus);
        }
        Self::WIDE.into_iter().find(|(_, name)| *name == text).map(|(rule, _)| rule).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_reads_as_it_prints() {
        let agents = ["nl-1", "ie-3"].map(|a| AgentId::new(a).unwrap());
        let all = RuleName::all(&agents);
        assert_eq!(all.len(), 13);
        for rule in all {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        for bad in ["", "prom-1m", "prom-1m@", "gatus-3@a b", "Majority"] {
            assert!(bad.parse::<RuleName>().is_err(), "{bad:?}");
        }
    }
}
