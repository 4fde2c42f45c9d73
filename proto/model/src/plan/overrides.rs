//! Which numbers of a policy are others?
//!
//! A shadow policy and a policy to try out say only what differs: `hard_duration: 120s`. They are laid over the policy that is in
//! force for a service, so that a service with a policy of its own keeps the rest of it. What is laid over is kept in one
//! spelling, so that equal changes have equal versions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Policy, content_hash};

/// Some numbers of a policy, to be laid over a whole one.
///
/// ```
/// use uitwijk_model::{Millis, Policy, PolicyOverrides};
/// let stricter: PolicyOverrides = serde_json::from_str(r#"{"hard_duration":"2m"}"#).unwrap();
/// let policy = stricter.over(&Policy::default());
/// assert_eq!(policy, Policy { hard_duration: Millis::from_secs(120), ..Policy::default() });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Value>", into = "BTreeMap<String, Value>")]
pub struct PolicyOverrides(BTreeMap<String, Value>);

impl PolicyOverrides {
    /// A policy with these numbers in place of its own.
    ///
    /// # Panics
    /// Never: each number was read as that of a policy when this was made.
    #[must_use]
    pub fn over(&self, policy: &Policy) -> Policy {
        let mut whole = object(policy);
        whole.extend(self.0.iter().map(|(key, value)| (key.clone(), value.clone())));
        serde_json::from_value(Value::Object(whole)).expect("each key was read as one of a policy")
    }

    /// These and others; where both name a number, that of the others.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self(self.0.iter().chain(&others.0).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// The keys and their values, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether nothing is laid over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Content hash of what is laid over.
    #[must_use]
    pub fn version(&self) -> String {
        content_hash(serde_json::to_string(self).expect("a policy is plain data").as_bytes())
    }
}

fn object(policy: &Policy) -> Map<String, Value> {
    match serde_json::to_value(policy) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

impl TryFrom<BTreeMap<String, Value>> for PolicyOverrides {
    type Error = serde_json::Error;

    fn try_from(given: BTreeMap<String, Value>) -> Result<Self, serde_json::Error> {
        let keys: Vec<String> = given.keys().cloned().collect();
        let read: Policy = serde_json::from_value(given.into_iter().collect::<Map<_, _>>().into())?;
        let mut spelled = object(&read);
        Ok(Self(keys.into_iter().filter_map(|key| spelled.remove(&key).map(|value| (key, value))).collect()))
    }
}

impl From<PolicyOverrides> for BTreeMap<String, Value> {
    fn from(overrides: PolicyOverrides) -> Self {
        overrides.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Millis;

    fn overrides(json: &str) -> Result<PolicyOverrides, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_not_named_stays() {
        let base = Policy { soft_duration: Millis::from_secs(900), samples_min: 7, ..Policy::default() };
        let changed = overrides(r#"{"samples_min":3,"hard_share":"1/3"}"#).unwrap().over(&base);
        let expected = Policy { samples_min: 3, hard_share: "1/3".parse().unwrap(), ..base.clone() };
        assert_eq!(changed, expected);
        assert_eq!(PolicyOverrides::default().over(&base), base);
        let [a, b] = [r#"{"samples_min":3,"clear":"1m"}"#, r#"{"clear":"2m"}"#].map(|json| overrides(json).unwrap());
        assert_eq!(a.and(&b), overrides(r#"{"samples_min":3,"clear":"120s"}"#).unwrap());
    }

    #[test]
    fn equal_changes_have_equal_versions_however_they_are_written() {
        let [a, b, c] = [
            r#"{"hard_duration":"180s","clear":"1m"}"#,
            r#"{"clear":"60s","hard_duration":"3m"}"#,
            r#"{"clear":"61s","hard_duration":"3m"}"#,
        ]
        .map(|json| overrides(json).unwrap());
        assert_eq!(a.version(), b.version());
        assert_ne!(a.version(), c.version());
        assert_eq!(serde_json::to_string(&a).unwrap(), r#"{"clear":"60s","hard_duration":"3m"}"#);
    }

    #[test]
    fn what_is_no_number_of_a_policy_is_refused() {
        for wrong in [r#"{"hard_durations":"1s"}"#, r#"{"hard_duration":7}"#, r#"{"samples_min":"7"}"#, "[]"] {
            assert!(overrides(wrong).is_err(), "{wrong}");
        }
    }
}
