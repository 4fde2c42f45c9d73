//! What can change while the agent runs?
//!
//! The certificate files and the addresses of collectors. Anything else needs a restart, and is named in the log.

use uitwijk_identity::Credentials;

use crate::config::{Collector, Config, Sources};

/// Reads the settings again. `None` when they have mistakes, which are logged; the old ones stay.
pub(super) fn read(sources: &Sources) -> Option<Config> {
    match sources.load() {
        Ok(config) => Some(config),
        Err(mistakes) => {
            tracing::error!(%mistakes, "new configuration is not taken, keeping the old one");
            None
        }
    }
}

/// Reads the certificate files again.
pub(super) fn certificates(credentials: &Credentials) {
    match credentials.reload() {
        Ok(true) => {}
        Ok(false) => tracing::info!("certificate files are the same as before"),
        Err(error) => tracing::error!(%error, "new certificate files cannot be used, keeping the last good ones"),
    }
}

/// The collectors by place, with new addresses where the names are the same; `None` when a name changed, since names
/// belong to cursors in the buffer.
pub(super) fn addresses<'a>(old: &[Collector], new: &'a [Collector]) -> Option<Vec<&'a str>> {
    let same_names = old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.name == new.name);
    same_names.then(|| new.iter().map(|collector| collector.url.as_str()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collectors(list: &[(&str, &str)]) -> Vec<Collector> {
        list.iter().map(|(name, url)| Collector { name: (*name).to_owned(), url: (*url).to_owned() }).collect()
    }

    #[test]
    fn addresses_may_change_and_names_may_not() {
        let old = collectors(&[("a", "https://a:1"), ("b", "https://b:1")]);
        let moved = collectors(&[("a", "https://a:1"), ("b", "https://b:2")]);
        assert_eq!(addresses(&old, &moved), Some(vec!["https://a:1", "https://b:2"]));
        assert_eq!(addresses(&old, &collectors(&[("b", "https://b:1"), ("a", "https://a:1")])), None);
        assert_eq!(addresses(&old, &collectors(&[("a", "https://a:1")])), None);
    }
}
