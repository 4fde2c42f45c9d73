//! What is rendered reads back as the same plan, and canonical JSON does too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::plan::read::read_plan;
use crate::plan::{
    BodyExpectation, ConnectOptions, Control, DnsProbe, DnsRecordType, Endpoint, Expectation, GrpcProbe,
    HeaderExpectation, HttpProbe, HttpVersion, IpFamily, JsonExpectation, Partner, Plan, Probe, ProbeKind, SecretText,
    ServedFrom, ServedPlace, Service, ServiceClass, StatusRange, TcpProbe, TlsOptions, TlsProbe,
};
use crate::{
    EndpointName, Millis, PartnerId, Policy, PolicyOverrides, Region, ServiceId, ShadowName, SlotLength, Vantage,
    WallTime, Window, WindowKind, WindowScope, Zone,
};

/// Texts with everything that YAML, JSON and the environment could trip over.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,20}",
        "[a-zé\n\t\"':#$!{}\\[\\]-]{1,20}",
        prop::sample::select(vec![
            "1",
            "1.10",
            "true",
            "no",
            "~",
            "null",
            "${X}",
            "$${X",
            "- a",
            " a ",
            "0x1F",
            "1e3",
            "2026-03-02",
            "<<",
            "=",
            "a: b",
            "\u{85}\u{2028}"
        ])
        .prop_map(str::to_owned),
    ]
}

fn file() -> impl Strategy<Value = PathBuf> {
    "/[a-z ${}]{1,12}".prop_map(PathBuf::from)
}

fn secret() -> impl Strategy<Value = SecretText> {
    prop_oneof![text().prop_map(SecretText::Plain), file().prop_map(SecretText::File)]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::from),
        (-1000..1000i32).prop_map(|n| json!(f64::from(n) / 8.0)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            btree_map("[a-z0-9]{1,3}", inner, 0..3).prop_map(|m| json!(m))
        ]
    })
}

fn regex() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["^a$", "a{2}", "\\d+", "x|y", "[${]"]).prop_map(str::to_owned)
}

fn body_check() -> impl Strategy<Value = BodyExpectation> {
    let pointer = "(/[a-z~0]{0,3}){0,2}";
    let value = (pointer, option::of(json_value()))
        .prop_map(|(pointer, equals)| BodyExpectation::Json(JsonExpectation { pointer, equals }));
    prop_oneof![
        text().prop_map(BodyExpectation::Contains),
        text().prop_map(BodyExpectation::NotContains),
        regex().prop_map(BodyExpectation::Matches),
        value,
    ]
}

fn expectation() -> impl Strategy<Value = Expectation> {
    let status =
        (100..600u16, 0..100u16).prop_map(|(first, more)| StatusRange { first, last: (first + more).min(599) });
    let header = ("x-[a-z]{1,4}", option::of(regex()), any::<bool>())
        .prop_map(|(name, matches, absent)| HeaderExpectation { name, matches, absent });
    (vec(status, 0..3), vec(header, 0..3), vec(body_check(), 0..3), option::of(0..=3650u32))
        .prop_map(|(status, headers, body, days)| Expectation { status, headers, body, certificate_days_min: days })
}

prop_compose! {
    fn http()(
        method in prop::sample::select(vec!["GET", "POST", "PUT"]),
        headers in btree_map("x-[a-z]{1,5}", prop_oneof!["[ -~]{0,10}".prop_map(SecretText::Plain), file().prop_map(SecretText::File)], 0..3),
        body in option::of(secret()),
        version in prop::sample::select(vec![HttpVersion::Auto, HttpVersion::Http11, HttpVersion::Http2]),
        redirects_max in 0..=20u8,
        body_bytes_max in 1..=16_777_216u32,
        expect in expectation(),
    ) -> ProbeKind {
        ProbeKind::Http(Box::new(HttpProbe {
            url: "https://a.example.net/x?${y}".replace("${y}", "y=%20"),
            method: method.to_owned(), headers, body, version, redirects_max, body_bytes_max, expect,
        }))
    }
}

fn kind() -> impl Strategy<Value = ProbeKind> {
    let tcp = (option::of(secret()), option::of(regex()))
        .prop_map(|(send, expect)| ProbeKind::Tcp(TcpProbe { address: "[::1]:25".into(), send, expect }));
    let record = prop::sample::select(vec![DnsRecordType::A, DnsRecordType::Aaaa, DnsRecordType::Txt]);
    let dns = (any::<bool>(), record, vec(text(), 0..3)).prop_map(|(server, record, expect)| {
        let server = server.then(|| "192.0.2.1:53".parse().unwrap());
        ProbeKind::Dns(DnsProbe { server, name: "a.example.net".into(), record, expect })
    });
    let tls = option::of(0..=3650u32)
        .prop_map(|days| ProbeKind::Tls(TlsProbe { address: "a:443".into(), certificate_days_min: days }));
    let grpc = text().prop_map(|service| ProbeKind::Grpc(GrpcProbe { url: "http://a:1".into(), service }));
    prop_oneof![3 => http(), 1 => tcp, 1 => dns, 1 => tls, 1 => grpc]
}

fn served() -> impl Strategy<Value = Option<ServedFrom>> {
    let place = option::of(Just(())).prop_map(|zone| ServedPlace {
        region: Region::new("NL").unwrap(),
        zone: zone.map(|()| Zone::new("1").unwrap()),
    });
    option::of(
        (
            "x-[a-z]{1,4}",
            option::of("x-[a-z]{1,4}"),
            option::of("/[a-z]{1,4}"),
            btree_map("10\\.[0-9]\\.0\\.0/16", place, 0..3),
        )
            .prop_map(|(region, zone, json, addresses)| ServedFrom {
                region_header: Some(region),
                zone_header: zone,
                region_json: json.clone(),
                zone_json: json,
                addresses,
            }),
    )
}

fn connect() -> impl Strategy<Value = ConnectOptions> {
    (prop::sample::select(vec![IpFamily::Any, IpFamily::Ipv4, IpFamily::Ipv6]), any::<bool>()).prop_map(
        |(family, resolver)| ConnectOptions { family, resolver: resolver.then(|| "[::1]:53".parse().unwrap()) },
    )
}

fn tls_options() -> impl Strategy<Value = TlsOptions> {
    (option::of(file()), option::of((file(), file())), option::of(Just("a.example.net".to_owned()))).prop_map(
        |(ca_file, client, server_name)| {
            let (client_cert_file, client_key_file) = client.unzip();
            TlsOptions { ca_file, client_cert_file, client_key_file, server_name }
        },
    )
}

fn probe() -> impl Strategy<Value = Probe> {
    (kind(), 10..=1000u64, 0..=3u8, connect(), tls_options(), served()).prop_map(
        |(kind, timeout, retries, connect, tls, served)| Probe {
            kind,
            timeout: Millis(timeout),
            retries,
            connect,
            tls,
            served,
        },
    )
}

fn region() -> impl Strategy<Value = Region> {
    prop::sample::select(vec!["NL", "IE"]).prop_map(|r| Region::new(r).unwrap())
}

fn zone() -> impl Strategy<Value = Zone> {
    prop::sample::select(vec!["1", "2", "b"]).prop_map(|z| Zone::new(z).unwrap())
}

prop_compose! {
    fn endpoint()(
        weight in 1..=1000u32,
        critical in any::<bool>(),
        regional in btree_map(region(), probe(), 0..3),
        zonal in btree_map(region(), btree_map(zone(), probe(), 1..3), 0..2),
        global in probe(),
    ) -> Endpoint {
        Endpoint { weight, critical, regional, zonal, global: Some(global) }
    }
}

fn policy() -> impl Strategy<Value = Policy> {
    (60..300u64, 1..100u32).prop_map(|(s, n)| Policy {
        soft_window: Millis::from_secs(s),
        vantages_min: n,
        ..Policy::default()
    })
}

prop_compose! {
    fn service()(
        title in text(),
        class in prop::sample::select(vec![ServiceClass::Website, ServiceClass::Webservice]),
        objective in 1..60_000u64,
        active_region in region(),
        chain in any::<bool>(),
        endpoints in btree_map("[a-z0-9]{1,4}".prop_map(|n| EndpointName::new(n).unwrap()), endpoint(), 1..3),
        policy in option::of(policy()),
    ) -> Service {
        let chain = chain.then(|| PartnerId::new("idp").unwrap()).into_iter().collect();
        Service { title, class, objective: Millis(objective), active_region, chain, endpoints, policy }
    }
}

fn windows() -> impl Strategy<Value = Vec<Window>> {
    let kinds = vec![WindowKind::Planned, WindowKind::Agreed, WindowKind::Emergency, WindowKind::ForceMajeure];
    let one =
        (prop::sample::select(kinds), 1..3_000_000_000_000i64, option::of(0..=1000u32), any::<bool>(), text(), text());
    vec(one, 0..3).prop_map(|all| {
        let each = all.into_iter().zip(0i64..).map(|((kind, length, notice, scoped, author, reason), i)| {
            let from = 1_772_438_400_000_000 + i * 10_000_000_000_000;
            let scope = WindowScope {
                regions: scoped.then(|| Region::new("NL").unwrap()).into_iter().collect(),
                zones: scoped.then(|| Zone::new("1").unwrap()).into_iter().collect(),
                ..WindowScope::default()
            };
            let (from, to) = (WallTime::from_micros(from), WallTime::from_micros(from + length));
            Window { kind, from, to, notice_working_days: notice, scope, author, reason }
        });
        each.collect()
    })
}

/// Numbers that go with any policy.
fn overrides() -> impl Strategy<Value = PolicyOverrides> {
    let some = (1..100u32, option::of(1..=100u32), option::of(1..90_000u64));
    some.prop_map(|(samples, slow, hold)| {
        let mut map = json!({ "samples_min": samples });
        slow.into_iter().for_each(|slow| map["slow_share"] = format!("{slow}%").into());
        hold.into_iter().for_each(|hold| map["trust_hold"] = Millis(hold).to_string().into());
        serde_json::from_value(map).unwrap()
    })
}

prop_compose! {
    fn plans()(
        name in text(),
        revision in 1..=i64::MAX.unsigned_abs(),
        slot in 1000..=60_000u64,
        services in btree_map("[a-z0-9]{1,4}".prop_map(|n| ServiceId::new(n).unwrap()), service(), 1..3),
        partner in (text(), probe()),
        controls in btree_map("[a-z0-9]{1,4}".prop_map(|n| crate::ControlId::new(n).unwrap()), probe(), 0..2),
        policy in policy(),
        shadow in btree_map("[a-z]{1,4}".prop_map(|n| ShadowName::new(n).unwrap()), overrides(), 0..3),
        windows in windows(),
    ) -> Plan {
        let place = |region: &str, zone: &str| Vantage { region: Region::new(region).unwrap(), zone: Zone::new(zone).unwrap() };
        let zones: BTreeSet<_> = ["1", "2", "b"].map(|z| Zone::new(z).unwrap()).into();
        let objective = Millis::from_secs(1);
        Plan {
            name,
            revision,
            slot: SlotLength::new(Millis(slot)).unwrap(),
            regions: ["NL", "IE"].map(|r| (Region::new(r).unwrap(), zones.clone())).into(),
            agents: [("nl-1", "NL", "1"), ("ie-b", "IE", "b")].map(|(a, r, z)| (crate::AgentId::new(a).unwrap(), place(r, z))).into(),
            services,
            partners: BTreeMap::from([(PartnerId::new("idp").unwrap(), Partner { title: partner.0, probe: partner.1, objective })]),
            controls: controls.into_iter().map(|(id, probe)| (id, Control { probe, objective })).collect(),
            policy,
            shadow,
            windows,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_the_same_after_a_trip_through_json(plan in plans()) {
        let json = plan.to_canonical_json();
        let back = Plan::from_canonical_json(&json).unwrap();
        prop_assert_eq!(&back, &plan);
        prop_assert_eq!(back.to_canonical_json(), json);
        prop_assert_eq!(back.version(), plan.version());
    }

    #[test]
    fn a_rendered_plan_reads_back_as_itself(plan in plans()) {
        let yaml = plan.render_yaml();
        match read_plan(&yaml, &|_| None) {
            Ok(back) => prop_assert_eq!(back, plan),
            Err(mistakes) => prop_assert!(false, "{}\n{}", mistakes, yaml),
        }
    }
}

#[test]
fn the_example_reads_well() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/plan.example.yaml");
    let plan = read_plan(&std::fs::read_to_string(path).unwrap(), &|_| None).unwrap_or_else(|m| panic!("{m}"));
    insta::assert_snapshot!(plan.render_yaml());
}
