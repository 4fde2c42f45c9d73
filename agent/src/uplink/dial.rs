//! How does an uplink get a connection, and when must it get another?
//!
//! A trait, because a fleet may be simulated in one process without sockets; the agent's own way is mutual TLS.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tonic::transport::Channel;
use uitwijk_identity::{ClientOptions, ConnectError, Credentials};

/// A connection that is being made.
pub type Dialing<'a> = Pin<Box<dyn Future<Output = Result<Channel, ConnectError>> + Send + 'a>>;

/// A way to a collector.
pub trait Dial: Send + Sync {
    /// Connects to this address.
    fn dial<'a>(&'a self, url: &'a str) -> Dialing<'a>;

    /// Counts up when what is connected should connect anew.
    fn renewals(&self) -> watch::Receiver<u64>;
}

impl Dial for Arc<Credentials> {
    fn dial<'a>(&'a self, url: &'a str) -> Dialing<'a> {
        let options = ClientOptions { user_agent: crate::USER_AGENT.to_owned(), ..ClientOptions::default() };
        Box::pin(uitwijk_identity::channel(url, self.clone(), options))
    }

    fn renewals(&self) -> watch::Receiver<u64> {
        self.subscribe()
    }
}
