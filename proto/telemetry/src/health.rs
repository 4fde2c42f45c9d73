//! Is the process ready for what it is there for, and what is it waiting for?

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Named conditions, all of which must hold. Cheap to clone; every clone is the same.
///
/// ```
/// use uitwijk_telemetry::Health;
/// let health = Health::waiting_for(["plan", "buffer"]);
/// health.set("buffer", Ok(()));
/// health.set("plan", Err("no collector has answered yet".to_owned()));
/// assert_eq!(health.missing(), [("plan".to_owned(), "no collector has answered yet".to_owned())]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Health {
    conditions: Arc<RwLock<BTreeMap<String, Result<(), String>>>>,
}

impl Health {
    /// With conditions that do not hold before somebody says so.
    #[must_use]
    pub fn waiting_for<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let health = Self::default();
        for name in names {
            health.set(name, Err("not started yet".to_owned()));
        }
        health
    }

    /// Says whether a condition holds, or why not.
    pub fn set(&self, name: &str, state: Result<(), String>) {
        let mut conditions = self.conditions.write().unwrap_or_else(PoisonError::into_inner);
        let before = conditions.insert(name.to_owned(), state.clone());
        match (before, state) {
            (Some(Ok(())), Err(reason)) => tracing::warn!(condition = name, reason, "no longer ready"),
            (Some(Err(_)), Ok(())) => tracing::info!(condition = name, "ready"),
            _ => {}
        }
    }

    /// What does not hold, by name, each with its reason.
    #[must_use]
    pub fn missing(&self) -> Vec<(String, String)> {
        let conditions = self.conditions.read().unwrap_or_else(PoisonError::into_inner);
        conditions.iter().filter_map(|(name, state)| Some((name.clone(), state.as_ref().err()?.clone()))).collect()
    }

    /// Whether all of them hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.missing().is_empty()
    }
}
