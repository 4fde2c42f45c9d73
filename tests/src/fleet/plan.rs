//! Which plan does a fleet in this world have?

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use uitwijk_model::{Millis, Policy};

use super::agent_name;
use crate::world::dns::SUFFIX;
use crate::world::{CONTROLS, PARTNER, REGIONS, Sites, ZONES};

/// The slot at which the contract's policy holds as it is.
const CONTRACT_SLOT_MS: u64 = 10_000;
/// The timeout of a probe at that slot.
const CONTRACT_TIMEOUT_MS: u64 = 8_000;

/// The plan file for the sites of a world and agents at some of its places, with every length of time scaled to the slot.
pub fn plan_yaml(sites: &Sites, world_ca: &Path, slot: Duration, agents: &[(&str, &str)]) -> String {
    let slot_ms = u64::try_from(slot.as_millis()).unwrap_or(CONTRACT_SLOT_MS);
    let mut plan = format!("name: Demo\nrevision: 1\nslot: {}\nregions:\n", Millis(slot_ms));
    for region in REGIONS {
        let _ = writeln!(plan, "  {region}: [{}]", ZONES.join(", "));
    }
    plan.push_str("agents:\n");
    for (region, zone) in agents {
        let _ = writeln!(plan, "  {}: {region}/{zone}", agent_name(region, zone));
    }
    // A timeout may not be longer than a slot; scaled down it would measure how busy this machine is.
    let timeout = Millis(CONTRACT_TIMEOUT_MS.min(slot_ms));
    let ca = world_ca.display();
    let _ = write!(plan, "defaults:\n  probe:\n    timeout: {timeout}\n    tls_options: {{ ca_file: \"{ca}\" }}\n");
    let _ =
        write!(plan, "partners:\n  {PARTNER}:\n    title: Identity provider\n{}", reference(PARTNER, sites.partner));
    plan.push_str("controls:\n");
    for control in CONTROLS {
        let _ = write!(plan, "  {control}:\n{}", reference(control, sites.controls[control]));
    }
    plan.push_str("services:\n");
    plan.push_str(&exchange_yaml(sites));
    plan.push_str(&portal_yaml(sites));
    plan.push_str(&policy_yaml(slot_ms));
    plan
}

fn reference(host: &str, address: SocketAddr) -> String {
    format!("    probe: {{ address: \"https://{host}.{SUFFIX}:{}/\", http: {{}} }}\n", address.port())
}

/// A web service with a partner, zones that can be reached directly, and a diagnostic endpoint that answers JSON.
fn exchange_yaml(sites: &Sites) -> String {
    let mut text = String::from(
        "  exchange:\n    title: Exchange of messages\n    class: webservice\n    active_region: NL\n    chain: [idp]\n",
    );
    text.push_str(&endpoint("json: { pointer: /status, equals: ok }"));
    text.push_str(&regional("exchange", "/diagnostic", sites));
    text.push_str("        zonal:\n");
    for region in REGIONS {
        let _ = writeln!(text, "          {region}:");
        for zone in ZONES {
            let host = format!("exchange.z{zone}.{}.{SUFFIX}", region.to_ascii_lowercase());
            let port = sites.zones[&(region, zone)].port();
            let _ = writeln!(text, "            {zone}: \"https://{host}:{port}/diagnostic\"");
        }
    }
    text
}

/// A website without partners.
fn portal_yaml(sites: &Sites) -> String {
    let head = "  portal:\n    title: Portal\n    class: website\n    active_region: NL\n";
    format!("{head}{}{}", endpoint("contains: Welcome"), regional("portal", "/", sites))
}

fn endpoint(expect: &str) -> String {
    format!(
        "    endpoints:\n      default:\n        probe:\n          \
         served: {{ region_header: x-served-region, zone_header: x-served-zone }}\n          \
         http: {{ expect: {{ body: [{{ {expect} }}] }} }}\n"
    )
}

/// The deployments in both regions, and the public name.
fn regional(service: &str, path: &str, sites: &Sites) -> String {
    let mut text = String::from("        regional:\n");
    for (region, address) in &sites.regions {
        let host = format!("{service}.{}.{SUFFIX}", region.to_ascii_lowercase());
        let _ = writeln!(text, "          {region}: \"https://{host}:{}{path}\"", address.port());
    }
    let _ = writeln!(text, "        global: \"https://{service}.{SUFFIX}:{}{path}\"", sites.entry.port());
    text
}

/// The contract's policy with its lengths of time scaled to the slot; nothing else changes.
pub fn policy_yaml(slot_ms: u64) -> String {
    let (standard, scaled) = (Policy::default(), Policy::default().scaled(slot_ms, CONTRACT_SLOT_MS));
    let fields = |p: &Policy| serde_json::to_value(p).ok().and_then(|v| v.as_object().cloned()).unwrap_or_default();
    let (standard, scaled) = (fields(&standard), fields(&scaled));
    let changed = scaled.iter().filter(|(key, value)| standard.get(*key) != Some(value));
    let lines: String = changed.map(|(key, value)| format!("  {key}: {value}\n")).collect();
    if lines.is_empty() { lines } else { format!("policy:\n{lines}") }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use uitwijk_model::plan::read::read_plan;

    use super::*;

    #[test]
    fn the_plan_of_a_fleet_has_no_mistakes_at_any_pace() {
        for slot_ms in [500, 1000, 10_000] {
            let sites = Sites::numbered(Ipv4Addr::LOCALHOST, 9000);
            let yaml =
                plan_yaml(&sites, Path::new("/pki/world-ca.pem"), Duration::from_millis(slot_ms), &[("NL", "1")]);
            let plan = read_plan(&yaml, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}\n{yaml}"));
            assert_eq!(plan.policy, Policy::default().scaled(slot_ms, CONTRACT_SLOT_MS));
            assert_eq!(plan.targets().len(), 2 * 3 + 6 + 1 + 3);
        }
    }
}
