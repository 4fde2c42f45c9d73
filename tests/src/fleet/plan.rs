//! Which plan does a fleet in this world have?

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use uitwijk_model::{Millis, Policy};

use super::agent_name;
use crate::world::dns::SUFFIX;
use crate::world::{CONTROLS, PARTNER, REGIONS, Sites, ZONES};

/// The slot at which the contract's policy holds as it is.
const CONTRACT_SLOT_MS: u64 = 10_000;

/// The plan file for the sites of a world, with every length of time scaled to the slot.
pub fn plan_yaml(sites: &Sites, world_ca: &Path, slot: Duration) -> String {
    let slot_ms = u64::try_from(slot.as_millis()).unwrap_or(CONTRACT_SLOT_MS);
    let timeout = Millis(8_000 * slot_ms / CONTRACT_SLOT_MS);
    let ca = world_ca.display();
    let entry = sites.entry.port();
    let probe = |expect: &str, path: &str| {
        format!(
            "        probe:\n          timeout: {timeout}\n          tls: {{ ca_file: {ca} }}\n          \
             served: {{ region_header: x-served-region, zone_header: x-served-zone }}\n          \
             http: {{ path: {path}, expect: {{ body: [{{ {expect} }}] }} }}\n"
        )
    };
    let regional = |service: &str| {
        let mut text = String::from("        regional:\n");
        for (region, address) in &sites.regions {
            let host = format!("{service}.{}.{SUFFIX}", region.to_ascii_lowercase());
            let _ = writeln!(text, "          {region}: https://{host}:{}", address.port());
        }
        text
    };
    let mut zonal = String::from("        zonal:\n");
    for region in REGIONS {
        let _ = writeln!(zonal, "          {region}:");
        for zone in ZONES {
            let host = format!("exchange.z{zone}.{}.{SUFFIX}", region.to_ascii_lowercase());
            let _ = writeln!(zonal, "            \"{zone}\": https://{host}:{}", sites.zones[&(region, zone)].port());
        }
    }
    let mut plan = format!("name: demo\nrevision: 1\nslot: {}\nregions:\n", Millis(slot_ms));
    for region in REGIONS {
        let _ = writeln!(plan, "  {region}: {{ zones: [\"1\", \"2\", \"3\"] }}");
    }
    plan.push_str("agents:\n");
    for region in REGIONS {
        for zone in ZONES {
            let _ = writeln!(plan, "  {}: {{ region: {region}, zone: \"{zone}\" }}", agent_name(region, zone));
        }
    }
    let diagnostic = r#"json: { pointer: /status, equals: ok }"#;
    let _ = write!(
        plan,
        "services:\n  exchange:\n    title: Exchange of messages\n    class: webservice\n    active_region: NL\n    \
         chain: [{PARTNER}]\n    endpoints:\n      default:\n{}{}{zonal}        global: https://exchange.{SUFFIX}:{entry}\n",
        probe(diagnostic, "/diagnostic"),
        regional("exchange"),
    );
    let _ = write!(
        plan,
        "  portal:\n    title: Portal\n    class: website\n    active_region: NL\n    endpoints:\n      default:\n\
         {}{}        global: https://portal.{SUFFIX}:{entry}\n",
        probe("contains: Welcome", "/"),
        regional("portal"),
    );
    let reference = |host: &str, port: u16| {
        format!(
            "    probe: {{ timeout: {timeout}, tls: {{ ca_file: {ca} }}, http: {{ url: \"https://{host}.{SUFFIX}:{port}/\" }} }}\n"
        )
    };
    let _ = write!(
        plan,
        "partners:\n  {PARTNER}:\n    title: Identity provider\n{}",
        reference(PARTNER, sites.partner.port())
    );
    plan.push_str("controls:\n");
    for control in CONTROLS {
        let _ = write!(plan, "  {control}:\n{}", reference(control, sites.controls[control].port()));
    }
    plan.push_str(&policy_yaml(slot_ms));
    plan
}

/// The contract's policy with its lengths of time scaled to the slot; nothing else changes.
fn policy_yaml(slot_ms: u64) -> String {
    let (standard, scaled) = (Policy::default(), Policy::default().scaled(slot_ms, CONTRACT_SLOT_MS));
    let fields = |p: &Policy| serde_json::to_value(p).ok().and_then(|v| v.as_object().cloned()).unwrap_or_default();
    let (standard, scaled) = (fields(&standard), fields(&scaled));
    let changed = scaled.iter().filter(|(key, value)| standard.get(*key) != Some(value));
    let lines: String = changed.map(|(key, value)| format!("  {key}: {value}\n")).collect();
    if lines.is_empty() { lines } else { format!("policy:\n{lines}") }
}
