use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;

const GOOD: &str = "
listen: 127.0.0.1:0
data_dir: /var/lib/uitwijk
plan_file: plan.yaml
tls:
  ca_file: ca.pem
  cert_file: cert.pem
  key_file: key.pem
limits:
  connections_max: 10
";

fn sources(file: Option<&str>, env: &[(&str, &str)], flags: &[(&'static str, &str)]) -> (Sources, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = file.map(|text| {
        let path = dir.path().join("collector.yaml");
        std::fs::write(&path, text).unwrap();
        path
    });
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let flags = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    (Sources { file, env, flags }, dir)
}

fn mistakes(file: Option<&str>, env: &[(&str, &str)], flags: &[(&'static str, &str)]) -> String {
    let (sources, dir) = sources(file, env, flags);
    let text = Resolved::from_sources(&sources).unwrap_err().to_string();
    text.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn the_later_source_wins() {
    let (env, flags) = ([("UITWIJK_COLLECTOR_LIMITS_CONNECTIONS_MAX", "11")], [("limits.connections_max", "12")]);
    for (env, flags, expected) in [(&[][..], &[][..], 10), (&env, &[], 11), (&env, &flags, 12)] {
        let (sources, _dir) = sources(Some(GOOD), env, flags);
        let config = Resolved::from_sources(&sources).unwrap().config;
        assert_eq!(config.limits.connections_max, expected);
        assert_eq!(config.data_dir, PathBuf::from("/var/lib/uitwijk"));
    }
}

#[test]
fn an_empty_file_misses_everything_that_must_be_set() {
    insta::assert_snapshot!(mistakes(Some("# nothing yet\n"), &[], &[]));
}

#[test]
fn every_mistake_of_every_source_is_told_at_once() {
    let file = "
listen: localhost
admin_listen: 127.0.0.1:9465
datadir: /var/lib/uitwijk
plan_file: [a, b]
stop_grace: 10
tls:
  ca_file: ''
  cert: cert.pem
limits: 5
colour: blue
log: {format: xml}
";
    let env =
        [("UITWIJK_COLLECTOR_LISTENN", "x"), ("UITWIJK_COLLECTOR_LIMITS_CONNECTIONS_MAX", "0"), ("UNRELATED", "")];
    let flags = [("limits.message_bytes_max", "4MB"), ("retention.measurements", "1h")];
    insta::assert_snapshot!(mistakes(Some(file), &env, &flags));
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    let flags = [("limits.batch_bytes_max", "8MiB"), ("listen", "127.0.0.1:9465")];
    insta::assert_snapshot!(mistakes(Some(GOOD), &[], &flags));
}

#[test]
fn a_file_that_is_not_yaml_or_not_there_says_so() {
    let first = |file: &str| mistakes(Some(file), &[], &[]).lines().next().unwrap().to_owned();
    let mut shown: Vec<String> = ["listen: [\n", "listen: a\nlisten: b\n", "- a\n"].into_iter().map(first).collect();
    let nowhere = Sources { file: Some(PathBuf::from("/nowhere/collector.yaml")), ..Sources::default() };
    shown.push(Resolved::from_sources(&nowhere).unwrap_err().to_string().lines().next().unwrap().to_owned());
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn variables_that_kubernetes_makes_are_not_mistakes() {
    let env = [("UITWIJK_COLLECTOR_SERVICE_HOST", "10.0.0.1"), ("UITWIJK_COLLECTOR_PORT_7443_TCP_PORT", "7443")];
    let (sources, _dir) = sources(Some(GOOD), &env, &[]);
    assert!(Resolved::from_sources(&sources).is_ok());
}

#[test]
fn what_is_printed_reads_back_and_masks_tokens() {
    let env = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer abc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4317"),
        ("UITWIJK_COLLECTOR_STOP_GRACE", "5s"),
    ];
    let (sources, dir) = sources(Some(GOOD), &env, &[("log.format", "json")]);
    let resolved = Resolved::from_sources(&sources).unwrap();
    let printed = resolved.print(&sources.env);
    assert!(!printed.contains("abc"), "{printed}");
    let path = dir.path().join("printed.yaml");
    std::fs::write(&path, &printed).unwrap();
    let again = Sources { file: Some(path), env: BTreeMap::new(), flags: BTreeMap::new() };
    assert_eq!(Resolved::from_sources(&again).unwrap().config, resolved.config);
    insta::assert_snapshot!(printed.replace(&format!("{}/", dir.path().display()), ""));
}

#[test]
fn keys_flags_and_variables_are_unique() {
    let mut names: Vec<String> =
        SETTINGS.iter().flat_map(|s| [s.flag(), s.variable(), format!(".{}", s.key)]).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}
