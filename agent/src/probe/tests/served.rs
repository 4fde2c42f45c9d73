//! Who served: from a header, from the body, from an address.

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_model::plan::{ServedFrom, ServedPlace};
use uitwijk_model::{Region, Zone};

use super::kit::{attempt_in, env, get, web, with_headers};

async fn served(from: ServedFrom) -> String {
    let address =
        web(|_| with_headers(200, &[("x-region", "nl"), ("x-zone", "2")], r#"{"at":{"r":"IE","z":"1"}}"#)).await;
    let zones: BTreeSet<_> = ["1", "2"].into_iter().map(|z| Zone::new(z).unwrap()).collect();
    let regions: BTreeMap<_, _> = ["NL", "IE"].into_iter().map(|r| (Region::new(r).unwrap(), zones.clone())).collect();
    let mut target = get(format!("http://{address}/"));
    target.probe.served = Some(from);
    let measurement = attempt_in(&env().with_regions(&regions), &target).await;
    let by = measurement.served.map(|by| format!("{}/{}", by.region, by.zone.map_or("-".into(), String::from)));
    by.unwrap_or_default()
}

#[tokio::test]
async fn an_answer_tells_in_three_ways() {
    let some = |text: &str| Some(text.to_owned());
    let place = |region: &str| ServedPlace { region: Region::new(region).unwrap(), zone: None };
    let by_header =
        ServedFrom { region_header: some("x-region"), zone_header: some("x-zone"), ..ServedFrom::default() };
    let by_body = ServedFrom { region_json: some("/at/r"), zone_json: some("/at/z"), ..ServedFrom::default() };
    let addresses = BTreeMap::from([("127.0.0.0/8".to_owned(), place("IE"))]);
    let by_address = ServedFrom { addresses, ..ServedFrom::default() };
    let silent = ServedFrom { region_header: some("x-missing"), ..ServedFrom::default() };
    assert_eq!(served(by_header).await, "NL/2");
    assert_eq!(served(by_body).await, "IE/1");
    assert_eq!(served(by_address).await, "IE/-");
    assert_eq!(served(silent).await, "");
}
