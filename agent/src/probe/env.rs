//! What do all probers of an agent share?
//!
//! Resolvers, TLS configurations and compiled patterns are kept once per agent, not once per target, and outlive a
//! change of the plan. What comes from the plan itself is only the list of places that a served region may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderValue;
use uitwijk_model::{Clock, Region, Zone};

use super::net::resolve::Resolvers;
use super::patterns::Patterns;
use super::served::Places;
use super::tls::configs::TlsConfigs;

const USER_AGENT: &str = concat!("uitwijk-agent/", env!("CARGO_PKG_VERSION"));

/// What probers share; clones share it too.
#[derive(Debug, Clone)]
pub struct ProberEnv {
    clock: Arc<dyn Clock>,
    resolvers: Arc<Resolvers>,
    tls: Arc<TlsConfigs>,
    patterns: Arc<Patterns>,
    places: Arc<Places>,
}

impl ProberEnv {
    /// With the resolver files of this machine and no places yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            tls: Arc::new(TlsConfigs::new(Arc::clone(&clock))),
            clock,
            resolvers: Arc::new(Resolvers::system()),
            patterns: Arc::default(),
            places: Arc::default(),
        }
    }

    /// With the regions and zones of a plan.
    #[must_use]
    pub fn with_regions(mut self, regions: &BTreeMap<Region, BTreeSet<Zone>>) -> Self {
        self.places = Arc::new(Places::new(regions));
        self
    }

    /// With a hosts file and a resolver configuration other than those of this machine.
    #[must_use]
    pub fn with_resolver_files(mut self, hosts: PathBuf, resolv_conf: PathBuf) -> Self {
        self.resolvers = Arc::new(Resolvers::with_files(hosts, resolv_conf));
        self
    }

    pub(crate) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn resolvers(&self) -> &Resolvers {
        &self.resolvers
    }

    pub(crate) fn tls(&self) -> &TlsConfigs {
        &self.tls
    }

    pub(crate) fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    pub(crate) const fn places(&self) -> &Arc<Places> {
        &self.places
    }

    pub(crate) fn user_agent(&self) -> &'static HeaderValue {
        static VALUE: HeaderValue = HeaderValue::from_static(USER_AGENT);
        &VALUE
    }
}
