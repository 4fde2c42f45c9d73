//! Where within a slot does a target have its place?
//!
//! Targets are spread evenly so that a fleet never probes in a burst, and an agent keeps its place for a target across
//! restarts and plan changes, so that a series stays evenly spaced. Both follow from a hash of (agent, target); agents
//! land at different places for one target, which spreads its load as well. The hash is spelled out here because it must
//! not change with a version of Rust or of a crate.

use uitwijk_model::{AgentId, SlotLength, TargetId};

/// Microseconds from the start of a slot to the turn of this target on this agent; less than the slot's length.
#[must_use]
pub fn offset_us(agent: &AgentId, target: &TargetId, slot: SlotLength) -> i64 {
    let hash = mix(fnv1a(&[agent.as_str().as_bytes(), b"\0", target.as_str().as_bytes()]));
    // Multiply and shift maps the hash evenly to 0..length.
    let length_us = u128::from(slot.millis().0) * 1000;
    let offset = (u128::from(hash) * length_us) >> 64;
    i64::try_from(offset).unwrap_or(0)
}

/// FNV-1a, 64 bit.
fn fnv1a(parts: &[&[u8]]) -> u64 {
    parts
        .iter()
        .flat_map(|part| part.iter())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The finalizer of splitmix64: FNV-1a alone leaves names that differ in their last letter close to each other.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use uitwijk_model::Millis;

    use super::*;

    fn offset(agent: &str, target: &str) -> i64 {
        let ten = SlotLength::new(Millis::from_secs(10)).unwrap();
        offset_us(&AgentId::new(agent).unwrap(), &TargetId::from_wire(target), ten)
    }

    #[test]
    fn a_place_never_changes() {
        let places =
            [("nl-1", "exchange/default@NL"), ("nl-2", "exchange/default@NL"), ("nl-1", "exchange/default@IE")];
        let found = places.map(|(agent, target)| offset(agent, target));
        assert_eq!(found, [1_550_453, 1_334_595, 236_265]);
    }

    #[test]
    fn places_are_spread_evenly_and_differ_between_agents() {
        let mut tenths = [0u32; 10];
        for i in 0..1000 {
            let at = offset("nl-1", &format!("service-{i}/default@NL"));
            assert!((0..10_000_000).contains(&at));
            tenths[usize::try_from(at / 1_000_000).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|n| (60..=140).contains(n)), "{tenths:?}");
    }
}
