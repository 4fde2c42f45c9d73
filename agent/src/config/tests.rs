//! Every mistake has a line of its own, and the printed configuration is a right one.

use std::path::Path;

use super::{Config, Mistakes, SETTINGS, Sources};

const GOOD: &str = "\
data_dir: /data
tls:
  ca_file: /tls/ca.pem
  cert_file: /tls/agent.pem
  key_file: /tls/agent.key
collectors:
  - name: col-nl
    url: https://col-nl:7443
  - {name: col-ie, url: 'https://col-ie:7443/'}
";

/// Loads a file with this text, an environment and flags.
fn load(yaml: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Config, Mistakes> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.yaml");
    std::fs::write(&file, yaml).unwrap();
    let own = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
    let sources = Sources {
        file: Some(file),
        environment: environment.iter().map(own).collect(),
        flags: flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(),
    };
    sources.load().map_err(|mistakes| without_folder(mistakes, dir.path()))
}

fn without_folder(mut mistakes: Mistakes, dir: &Path) -> Mistakes {
    for mistake in &mut mistakes.0 {
        if let super::Origin::File(path, _) = &mut mistake.origin {
            *path = path.strip_prefix(dir).unwrap().to_owned();
        }
    }
    mistakes
}

fn errors(yaml: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> String {
    load(yaml, environment, flags).unwrap_err().to_string()
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let config = load(GOOD, &[], &[]).unwrap();
    insta::assert_snapshot!(config.to_yaml());
    assert_eq!(load(&config.to_yaml(), &[], &[]).unwrap(), config);
}

#[test]
fn later_sources_win_key_by_key() {
    let env = [("UITWIJK_AGENT_IN_FLIGHT_MAX", "7"), ("UITWIJK_AGENT_LOG_FILTER", "debug"), ("HOME", "/root")];
    let config = load(GOOD, &env, &[("in_flight_max", "9"), ("collectors", "a=https://a:1,b=https://b:2")]).unwrap();
    assert_eq!((config.in_flight_max, config.log.filter.as_str()), (9, "debug"));
    let urls: Vec<_> = config.collectors.iter().map(|c| c.url.as_str()).collect();
    assert_eq!(urls, ["https://a:1", "https://b:2"]);
}

#[test]
fn all_mistakes_are_shown_at_once_with_line_and_key() {
    let yaml = "\
data_dri: /data
tls:
  ca_file: ''
  cert: x
collectors:
  - {name: -a, url: http://a}
  - {name: b, url: https://user:secret@b:1, weight: 3}
  - {name: b, url: https://b:1/path}
  - 7
admin_listen: localhost
buffer: 12
in_flight_max: 0
compression: gzip
stop: {grace: 10, drain: 6m}
worker_threads: [2]
";
    let env = [("UITWIJK_AGENT_DATADIR", "/x"), ("UITWIJK_AGENT_BUFFER_DISK_BYTES_MAX", "1MB")];
    insta::assert_snapshot!(errors(yaml, &env, &[("missed_slots_max", "many"), ("log.format", "xml")]));
}

#[test]
fn a_mistake_in_a_list_from_the_environment_is_found() {
    insta::assert_snapshot!(errors(GOOD, &[("UITWIJK_AGENT_COLLECTORS", "https://a:1,b=ftp://b")], &[]));
}

#[test]
fn what_is_missing_says_how_to_set_it() {
    insta::assert_snapshot!(errors("", &[], &[]));
}

#[test]
fn broken_yaml_and_no_map_are_mistakes() {
    insta::assert_snapshot!(errors("tls: [\n", &[], &[("data_dir", "")]));
    insta::assert_snapshot!(errors("- a\n", &[], &[]));
}

#[test]
fn a_key_given_twice_is_a_mistake() {
    assert!(errors(&format!("{GOOD}data_dir: /other\n"), &[], &[]).contains("duplicate"));
}

#[test]
fn a_file_that_is_not_there_is_a_mistake() {
    let sources = Sources { file: Some("/nowhere/agent.yaml".into()), ..Sources::default() };
    let text = sources.load().unwrap_err().to_string();
    assert!(text.contains("cannot read /nowhere/agent.yaml"), "{text}");
}

#[test]
fn every_default_is_a_good_value_and_every_key_is_printed() {
    let config = load(GOOD, &[], &[]).unwrap();
    let printed: Vec<_> = super::print::texts(&config).iter().map(|(key, _)| *key).collect();
    let known: Vec<_> = SETTINGS.iter().map(|s| s.key).collect();
    assert_eq!(printed, known);
}

#[test]
fn a_change_of_collectors_needs_no_restart() {
    let (old, mut new) = (load(GOOD, &[], &[]).unwrap(), load(GOOD, &[], &[]).unwrap());
    new.collectors.pop();
    assert!(old.restart_keys(&new).is_empty());
    new.in_flight_max = 3;
    new.tls.key_file = "/other".into();
    assert_eq!(old.restart_keys(&new), ["tls.key_file", "in_flight_max"]);
}
