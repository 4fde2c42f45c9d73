//! By which numbers is judged, and do they contradict each other?

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::build::Context;
use super::build_probe::merge;
use super::path::Path;
use crate::id::{ServiceId, ShadowName};
use crate::plan::{Policy, PolicyOverrides, Ratio, Service};
use crate::time::Millis;

/// The policy of the plan, or the defaults.
pub(super) fn plan_policy(raw: &Value, context: &mut Context) -> Option<Policy> {
    let policy = read(raw, &Path::root().join("policy"), context)?;
    check(&policy, &[Path::root().join("policy")], context);
    Some(policy)
}

/// The policy of a service, laid over that of the plan; `None` when the service has none of its own.
pub(super) fn service_policy(plan: &Value, own: &Value, path: &Path, context: &mut Context) -> Option<Policy> {
    if own.is_null() {
        return None;
    }
    let mut merged = plan.clone();
    merge(&mut merged, own);
    let policy = read(&merged, path, context)?;
    check(&policy, &[path.clone(), Path::root().join("policy")], context);
    Some(policy)
}

/// The policies that are judged by beside the real ones.
pub(super) fn shadows(
    raw: &BTreeMap<ShadowName, Value>,
    policy: &Policy,
    services: &BTreeMap<ServiceId, Service>,
    context: &mut Context,
) -> BTreeMap<ShadowName, PolicyOverrides> {
    let mut shadows = BTreeMap::new();
    for (name, raw) in raw {
        let path = Path::root().join("shadow").join(name);
        let own = services.iter().filter_map(|(id, service)| service.policy.as_ref().map(|policy| (id, policy)));
        let overrides = overrides(raw, &path, (policy, own), context);
        shadows.extend(overrides.map(|overrides| (name.clone(), overrides)));
    }
    shadows
}

/// What is laid over the policies of a plan: its own, and those of services that have one of their own.
pub(super) fn overrides<'a>(
    raw: &Value,
    path: &Path,
    (policy, services): (&Policy, impl Iterator<Item = (&'a ServiceId, &'a Policy)>),
    context: &mut Context,
) -> Option<PolicyOverrides> {
    let overrides: PolicyOverrides = read(raw, path, context)?;
    if overrides.is_empty() && !context.told_within(std::iter::once(path)) {
        context.tell(path, "changes nothing; give at least one key of a policy");
    }
    let before = context.mistakes.len();
    check(&overrides.over(policy), std::slice::from_ref(path), context);
    if context.mistakes.len() > before {
        // What is wrong for all need not be told for each.
        return None;
    }
    for (id, policy) in services {
        let before = context.mistakes.len();
        check(&overrides.over(policy), std::slice::from_ref(path), context);
        context.mistakes[before..].iter_mut().for_each(|m| m.message += &format!(", for service {id}"));
    }
    Some(overrides)
}

fn read<T: serde::de::DeserializeOwned>(raw: &Value, path: &Path, context: &mut Context) -> Option<T> {
    let raw = if raw.is_null() { Value::Object(Map::new()) } else { raw.clone() };
    match serde_json::from_value(raw) {
        Ok(policy) => Some(policy),
        Err(error) => {
            context.tell(path, format!("cannot be read: {error}"));
            None
        }
    }
}

/// The key of a policy that a mistake is told at: where the first of `keys` was written, in the first of `places` that has one.
fn key(keys: [&str; 2], places: &[Path], context: &Context) -> Path {
    let written = places.iter().flat_map(|place| keys.map(|key| place.join(key))).find(|path| context.has(path));
    written.unwrap_or_else(|| places[0].join(keys[0]))
}

fn check(p: &Policy, places: &[Path], context: &mut Context) {
    check_ranges(p, places, context);
    for (low, high) in [
        (("hard_window", p.hard_window), ("soft_window", p.soft_window)),
        (("hard_window", p.hard_window), ("hard_duration", p.hard_duration)),
        (("soft_window", p.soft_window), ("soft_duration", p.soft_duration)),
        (("grace", p.grace), ("horizon", p.horizon)),
        (("clock_correct", p.clock_correct), ("clock_flag", p.clock_flag)),
        (("drift_warmup", p.drift_warmup), ("drift_baseline", p.drift_baseline)),
    ] {
        if low.1 > high.1 {
            let path = key([high.0, low.0], places, context);
            context.tell(&path, format!("{} {} must be at least {} {}", high.0, high.1, low.0, low.1));
        }
    }
    for (low, high) in [
        (("soft_share", p.soft_share), ("hard_share", p.hard_share)),
        (("control_suspect", p.control_suspect), ("control_sick", p.control_sick)),
        (("lonely_suspect", p.lonely_suspect), ("lonely_sick", p.lonely_sick)),
    ] {
        if exceeds(low.1, high.1) {
            let path = key([high.0, low.0], places, context);
            context.tell(&path, format!("{} {} must be at least {} {}", high.0, high.1, low.0, low.1));
        }
    }
}

fn exceeds(a: Ratio, b: Ratio) -> bool {
    u64::from(a.num()) * u64::from(b.den()) > u64::from(b.num()) * u64::from(a.den())
}

fn check_ranges(p: &Policy, places: &[Path], context: &mut Context) {
    let slot = context.slot.millis();
    let (day, month) = (Millis(86_400_000), Millis(31 * 86_400_000));
    let windows = [("hard_window", p.hard_window), ("soft_window", p.soft_window)].map(|(k, v)| (k, v, slot, day));
    let lasting = [("hard_duration", p.hard_duration), ("soft_duration", p.soft_duration), ("clear", p.clear)]
        .map(|(k, v)| (k, v, slot, day));
    let waits = [
        ("trust_hold", p.trust_hold),
        ("blame_early", p.blame_early),
        ("blame_hold", p.blame_hold),
        ("switch_grace", p.switch_grace),
        ("clock_correct", p.clock_correct),
        ("clock_flag", p.clock_flag),
    ]
    .map(|(k, v)| (k, v, Millis(1), day));
    let drift = [
        ("drift_duration", p.drift_duration, slot, day),
        ("drift_warmup", p.drift_warmup, slot, day),
        ("drift_baseline", p.drift_baseline, slot, month),
    ];
    let late = [("grace", p.grace), ("horizon", p.horizon)].map(|(k, v)| (k, v, Millis(1), month));
    for (name, value, min, max) in windows.into_iter().chain(lasting).chain(waits).chain(late).chain(drift) {
        if value < min || value > max {
            let path = key([name, name], places, context);
            context.tell(&path, format!("{value} is out of range, allowed are {min} to {max}"));
        }
    }
    let above_nothing = [
        ("hard_share", p.hard_share),
        ("soft_share", p.soft_share),
        ("slow_share", p.slow_share),
        ("served_share", p.served_share),
    ];
    for (name, share) in above_nothing {
        if share.num() == 0 {
            let path = key([name, name], places, context);
            context.tell(
                &path,
                format!("{share} is out of range: with it every answer would count, allowed is more than 0%"),
            );
        }
    }
}
