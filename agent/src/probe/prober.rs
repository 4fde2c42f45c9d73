//! How does a target of the plan become measurements?

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use uitwijk_model::plan::ProbeKind;
use uitwijk_model::{
    Measurement, Millis, Observer, Outcome, Phases, ServedBy, Slot, Target, TargetId, Unmeasured, WallTime,
};

use super::dial::{Dialed, Dialer};
use super::dns::{DnsAnswer, DnsTarget};
use super::env::ProberEnv;
use super::expect::{Expected, check_certificate};
use super::failure::Failure;
use super::grpc::{self, GrpcTarget};
use super::handshake::{self, TlsTarget};
use super::http::{HttpTarget, Response};
use super::net::address::Address;
use super::served::{Clues, ServedRule};
use super::tcp::TcpTarget;
use super::tls::certificate;
use super::trail::{Facts, Trail};
use super::{ProberError, traceparent};

/// Probes one target. Cheap to keep, and one attempt does not know of another.
#[derive(Debug)]
pub struct Prober {
    target: TargetId,
    objective: Millis,
    timeout: Millis,
    retries: u8,
    kind: Kind,
    dialer: Dialer,
    served: ServedRule,
    env: ProberEnv,
    /// The latest attempt could not be made for a reason of ours.
    is_blind: AtomicBool,
}

#[derive(Debug)]
enum Kind {
    Http { target: Box<HttpTarget>, expected: Expected, certificate_days_min: Option<u32> },
    Tcp(TcpTarget),
    Dns(DnsTarget),
    Tls(TlsTarget),
    Grpc(Box<GrpcTarget>),
}

/// A complete answer, not yet looked at.
enum Answer {
    Response(Response),
    Records(DnsAnswer),
    Handshake(Dialed),
    Bare,
}

impl Kind {
    fn new(kind: &ProbeKind, served: &ServedRule, env: &ProberEnv) -> Result<Self, ProberError> {
        Ok(match kind {
            ProbeKind::Http(probe) => {
                let expected = Expected::new(&probe.expect, env.patterns())?;
                let target = HttpTarget::new(probe, expected.wants_body() || served.wants_body())?;
                let certificate_days_min = probe.expect.certificate_days_min;
                Self::Http { target: Box::new(target), expected, certificate_days_min }
            }
            ProbeKind::Tcp(probe) => Self::Tcp(TcpTarget::new(probe, env.patterns())?),
            ProbeKind::Dns(probe) => Self::Dns(DnsTarget::new(probe)),
            ProbeKind::Tls(probe) => Self::Tls(TlsTarget::new(probe)?),
            ProbeKind::Grpc(probe) => Self::Grpc(Box::new(GrpcTarget::new(probe)?)),
        })
    }

    /// The address that gets our certificate and the chosen server name.
    fn home(&self) -> Option<Address> {
        match self {
            Self::Http { target, .. } => Some(target.address().clone()),
            Self::Tls(target) => Some(target.address().clone()),
            Self::Grpc(target) => Some(target.address().clone()),
            Self::Tcp(_) | Self::Dns(_) => None,
        }
    }
}

impl Prober {
    /// Checks and compiles a target.
    ///
    /// # Errors
    /// When the target has something that cannot be probed, naming the key.
    pub fn new(target: &Target, env: &ProberEnv) -> Result<Self, ProberError> {
        let served = ServedRule::new(target.probe.served.as_ref())?;
        let kind = Kind::new(&target.probe.kind, &served, env)?;
        Ok(Self {
            target: target.id.clone(),
            objective: target.objective,
            timeout: target.probe.timeout,
            retries: target.probe.retries,
            dialer: Dialer::new(&target.probe, kind.home()),
            kind,
            served,
            env: env.clone(),
            is_blind: AtomicBool::new(false),
        })
    }

    /// The target that is probed.
    #[must_use]
    pub const fn target(&self) -> &TargetId {
        &self.target
    }

    /// Attempts after a failed one within the slot.
    #[must_use]
    pub const fn retries(&self) -> u8 {
        self.retries
    }

    /// The longest an attempt takes.
    #[must_use]
    pub const fn timeout(&self) -> Millis {
        self.timeout
    }

    /// Makes one attempt, in the current span, whose trace the target is told. It ends within the timeout of the probe and a small margin, whatever the target does.
    pub async fn attempt(&self, slot: Slot, attempt: u8, scheduled: WallTime, observer: Observer) -> Measurement {
        let mut measurement = self.nothing_yet(slot, attempt, scheduled, observer);
        self.measure(&mut measurement).await;
        measurement
    }

    fn nothing_yet(&self, slot: Slot, attempt: u8, scheduled: WallTime, observer: Observer) -> Measurement {
        Measurement {
            target: self.target.clone(),
            slot,
            attempt,
            scheduled,
            started: self.env.clock().wall(),
            outcome: Outcome::Unmeasured(Unmeasured::Local),
            total: None,
            phases: Phases::default(),
            http_status: None,
            served: None,
            hops: Vec::new(),
            certificate_expires: None,
            observer,
        }
    }

    async fn measure(&self, measurement: &mut Measurement) {
        let traceparent = traceparent::of_attempt();
        let trail = Trail::new(Arc::clone(self.env.clock()));
        let fetched = tokio::time::timeout(self.timeout.into(), self.fetch(&trail, &traceparent)).await;
        trail.stop();
        let facts = trail.facts();
        measurement.certificate_expires = certificate::earliest_expiry(&facts.chain);
        let judged = match fetched {
            Ok(Ok(answer)) => {
                measurement.served = self.served_by(&answer, &facts);
                self.check(answer, measurement.certificate_expires).await
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(self.cut_off(&trail)),
        };
        if let Err(failure) = &judged {
            tracing::debug!(outcome = failure.outcome.reason(), detail = failure.detail, "attempt failed");
        }
        measurement.outcome = match judged {
            Err(failure) if failure.is_local() => return self.blame_ourselves(measurement, &failure),
            Err(failure) => failure.outcome,
            Ok(()) if trail.total() > Duration::from(self.objective).into() => Outcome::Slow,
            Ok(()) => Outcome::Up,
        };
        if self.is_blind.swap(false, Ordering::Relaxed) {
            tracing::info!(target_id = %self.target, "a probe runs again on this agent");
        }
        measurement.total = Some(trail.total());
        measurement.phases = trail.phases();
        measurement.http_status = facts.http_status;
        measurement.hops = facts.hops;
    }

    /// An attempt that failed on our side says nothing of the target. It is told once, not at every turn.
    fn blame_ourselves(&self, measurement: &mut Measurement, failure: &Failure) {
        if !self.is_blind.swap(true, Ordering::Relaxed) {
            tracing::warn!(target_id = %self.target, problem = failure.detail, "a probe cannot run on this agent");
        }
        measurement.outcome = failure.outcome;
        measurement.served = None;
        measurement.certificate_expires = None;
    }

    async fn fetch(&self, trail: &Trail, traceparent: &str) -> Result<Answer, Failure> {
        let (env, dialer) = (&self.env, &self.dialer);
        match &self.kind {
            Kind::Http { target, .. } => target.fetch(env, dialer, trail, traceparent).await.map(Answer::Response),
            Kind::Grpc(target) => target.fetch(env, dialer, trail, traceparent).await.map(Answer::Response),
            Kind::Dns(target) => target.fetch(env, trail).await.map(Answer::Records),
            Kind::Tcp(target) => target.fetch(env, dialer, trail).await.map(|()| Answer::Bare),
            Kind::Tls(target) => target.fetch(env, dialer, trail).await.map(Answer::Handshake),
        }
    }

    fn cut_off(&self, trail: &Trail) -> Failure {
        match &self.kind {
            Kind::Tcp(target) => target.cut_off(trail.cut_off()),
            _ => trail.cut_off(),
        }
    }

    async fn check(&self, answer: Answer, expires: Option<WallTime>) -> Result<(), Failure> {
        let now = self.env.clock().wall();
        match (&self.kind, answer) {
            (Kind::Http { expected, certificate_days_min, .. }, Answer::Response(response)) => {
                expected.check(&response)?;
                check_certificate(expires, *certificate_days_min, now)
            }
            (Kind::Grpc(_), Answer::Response(response)) => grpc::check(&response),
            (Kind::Dns(target), Answer::Records(records)) => target.check(&records),
            (Kind::Tls(target), Answer::Handshake(dialed)) => {
                handshake::objection(dialed).await?;
                check_certificate(expires, target.certificate_days_min, now)
            }
            _ => Ok(()),
        }
    }

    fn served_by(&self, answer: &Answer, facts: &Facts) -> Option<ServedBy> {
        let peer: Vec<IpAddr> = facts.peer.iter().map(SocketAddr::ip).collect();
        let clues = match answer {
            Answer::Response(r) => Clues { headers: Some(&r.headers), body: &r.body, addresses: &peer },
            Answer::Records(records) => Clues { addresses: &records.addresses, ..Clues::default() },
            Answer::Handshake(_) | Answer::Bare => Clues { addresses: &peer, ..Clues::default() },
        };
        self.served.find(&clues, self.env.places())
    }
}
