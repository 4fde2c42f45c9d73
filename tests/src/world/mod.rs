//! What do the agents look at, and how does it break?
//!
//! ```text
//!   exchange.uitwijk.test ---\                          +-> zone 1 --\
//!   (public entry)            +-> the active region ----+-> zone 2 ---+-> idp (chain partner)
//!   exchange.nl.uitwijk.test -/   (load balancer)       +-> zone 3 --/
//!   ctl-a, ctl-b, ctl-c           independent of all that
//! ```
//!
//! Everything is a real server on a real socket: a region that is down refuses connections, a load balancer finds a dead
//! zone by asking it, a service that depends on the partner asks the partner. Answers tell in
//! `x-served-region` and `x-served-zone` who served them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio_util::sync::{CancellationToken, DropGuard};

pub mod control;
pub mod dns;
pub mod forward;
pub mod port;
pub mod tls;

use dns::Resolver;
use forward::{bad_gateway, forward};
use port::{Handler, Port};
use tls::SiteCertificate;

/// The regions of the world.
pub const REGIONS: [&str; 2] = ["NL", "IE"];
/// The zones of each region.
pub const ZONES: [&str; 3] = ["1", "2", "3"];
/// The services: the first is a web service that depends on the partner, the second a website.
pub const SERVICES: [&str; 2] = ["exchange", "portal"];
/// The chain partner.
pub const PARTNER: &str = "idp";
/// The independent references.
pub const CONTROLS: [&str; 3] = ["ctl-a", "ctl-b", "ctl-c"];

/// How the world is set up.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// Address of all sites.
    pub ip: Ipv4Addr,
    /// First port number of the sites, or 0 for any free ones.
    pub first_port: u16,
    /// Length of a slot; load balancers take a zone out 3 slots after it died, and back 1.5 slots after it recovered.
    pub slot: Duration,
}

/// A port for each site, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sites {
    /// Public entry.
    pub entry: SocketAddr,
    /// Load balancer of each region.
    pub regions: BTreeMap<&'static str, SocketAddr>,
    /// Each zone, reached directly.
    pub zones: BTreeMap<(&'static str, &'static str), SocketAddr>,
    /// The chain partner.
    pub partner: SocketAddr,
    /// The controls.
    pub controls: BTreeMap<&'static str, SocketAddr>,
}

impl Sites {
    /// Where everything would listen from a first port on, one number after the other; with 0, on any free ports.
    pub fn numbered(ip: Ipv4Addr, first_port: u16) -> Self {
        let mut next = first_port;
        let mut address = || {
            let number = next;
            next += u16::from(next != 0);
            SocketAddr::from((ip, number))
        };
        let entry = address();
        let regions = REGIONS.into_iter().map(|region| (region, address())).collect();
        let zones = REGIONS.into_iter().flat_map(|region| ZONES.map(|zone| (region, zone)));
        let zones = zones.map(|place| (place, address())).collect();
        let partner = address();
        let controls = CONTROLS.into_iter().map(|control| (control, address())).collect();
        Self { entry, regions, zones, partner, controls }
    }
}

/// Two services in two regions, with everything around them.
pub struct World {
    entry: Port,
    /// The region behind the public name.
    active: Arc<Mutex<&'static str>>,
    regions: BTreeMap<&'static str, RegionSite>,
    partner: PartnerSite,
    controls: BTreeMap<&'static str, Port>,
    ip: Ipv4Addr,
    _stop: DropGuard,
}

struct RegionSite {
    https: Port,
    /// For the public entry.
    http: Port,
    zones: BTreeMap<&'static str, ZoneSite>,
}

struct ZoneSite {
    https: Port,
    /// For the load balancer.
    http: Port,
}

struct PartnerSite {
    https: Port,
    /// For the services that depend on it.
    http: Port,
}

/// What a load balancer knows of a zone.
struct Backend {
    zone: &'static str,
    address: SocketAddr,
    in_rotation: AtomicBool,
}

impl World {
    /// Starts every site.
    ///
    /// # Errors
    /// When the certificate is not usable or a port cannot be had.
    pub fn start(options: &WorldOptions, certificate: &SiteCertificate) -> anyhow::Result<Self> {
        let tls = certificate.acceptor()?;
        let stop = CancellationToken::new();
        let numbers = Sites::numbered(options.ip, options.first_port);
        let open = |at: SocketAddr, handler: Handler| Port::open(options.ip, at.port(), Some(tls.clone()), handler);
        let active = Arc::new(Mutex::new(REGIONS[0]));
        let partner_http = Port::open(options.ip, 0, None, constant(r#"{"status":"ok","partner":"idp"}"#))?;
        let partner_up = watch_partner(partner_http.address(), options.slot, stop.clone());

        let mut fronts_inner = BTreeMap::new();
        let mut zones_by_region = BTreeMap::new();
        for region in REGIONS {
            let mut zones = BTreeMap::new();
            for zone in ZONES {
                let handler = zone_handler(region, zone, partner_up.clone());
                zones.insert(zone, (Port::open(options.ip, 0, None, handler.clone())?, handler));
            }
            let backends = Arc::new(
                zones
                    .iter()
                    .map(|(&zone, (http, _))| Backend { zone, address: http.address(), in_rotation: true.into() })
                    .collect::<Vec<_>>(),
            );
            tokio::spawn(stop.clone().run_until_cancelled_owned(check_zones(backends.clone(), options.slot)));
            let front = front_handler(region, backends, options.slot);
            fronts_inner.insert(region, (Port::open(options.ip, 0, None, front.clone())?, front));
            zones_by_region.insert(region, zones);
        }
        let inner = fronts_inner.iter().map(|(&region, (http, _))| (region, http.address())).collect();
        let entry = open(numbers.entry, entry_handler(active.clone(), inner, options.slot))?;
        let mut regions = BTreeMap::new();
        for (region, (http, handler)) in fronts_inner {
            let https = open(numbers.regions[region], handler)?;
            let mut zones = BTreeMap::new();
            for (zone, (http, handler)) in zones_by_region.remove(region).unwrap_or_default() {
                let https = open(numbers.zones[&(region, zone)], handler)?;
                zones.insert(zone, ZoneSite { https, http });
            }
            regions.insert(region, RegionSite { https, http, zones });
        }
        let https = open(numbers.partner, constant(r#"{"status":"ok","partner":"idp"}"#))?;
        let partner = PartnerSite { https, http: partner_http };
        let mut controls = BTreeMap::new();
        for control in CONTROLS {
            controls.insert(control, open(numbers.controls[control], constant(r#"{"status":"ok"}"#))?);
        }
        let _stop = stop.drop_guard();
        Ok(Self { entry, active, regions, partner, controls, ip: options.ip, _stop })
    }

    /// Where everything listens.
    pub fn sites(&self) -> Sites {
        Sites {
            entry: self.entry.address(),
            regions: self.regions.iter().map(|(&region, site)| (region, site.https.address())).collect(),
            zones: self
                .regions
                .iter()
                .flat_map(|(&region, site)| site.zones.iter().map(move |(&z, s)| ((region, z), s.https.address())))
                .collect(),
            partner: self.partner.https.address(),
            controls: self.controls.iter().map(|(&control, port)| (control, port.address())).collect(),
        }
    }

    /// A DNS server for one agent, on a free port.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn resolver(&self) -> std::io::Result<Resolver> {
        Resolver::start((IpAddr::V4(self.ip), 0).into(), self.ip).await
    }

    /// Takes a region away or brings it back: its load balancer and all its zones.
    ///
    /// # Errors
    /// When a port cannot be opened again.
    pub fn set_region(&self, region: &str, up: bool) -> std::io::Result<()> {
        let Some(site) = self.regions.get(region) else { return Ok(()) };
        for port in [&site.https, &site.http] {
            set(port, up)?;
        }
        site.zones.keys().try_for_each(|zone| self.set_zone(region, zone, up))
    }

    /// Takes one zone away or brings it back.
    ///
    /// # Errors
    /// When a port cannot be opened again.
    pub fn set_zone(&self, region: &str, zone: &str, up: bool) -> std::io::Result<()> {
        let Some(site) = self.regions.get(region).and_then(|r| r.zones.get(zone)) else { return Ok(()) };
        set(&site.https, up)?;
        set(&site.http, up)
    }

    /// Takes the chain partner away or brings it back.
    ///
    /// # Errors
    /// When a port cannot be opened again.
    pub fn set_partner(&self, up: bool) -> std::io::Result<()> {
        set(&self.partner.https, up)?;
        set(&self.partner.http, up)
    }

    /// Leads the public name to another region.
    pub fn fail_over_to(&self, region: &str) {
        if let Some(&known) = self.regions.keys().find(|&&r| r == region) {
            *self.active.lock().unwrap_or_else(PoisonError::into_inner) = known;
        }
    }
}

fn set(port: &Port, up: bool) -> std::io::Result<()> {
    if up {
        return port.start();
    }
    port.stop();
    Ok(())
}

/// A site that always says the same.
fn constant(body: &'static str) -> Handler {
    Arc::new(move |_| Box::pin(async move { json(body.to_owned()) }))
}

fn json(body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The host that a request asks for, without port.
fn host(request: &Request<Incoming>) -> String {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let host = authority.or_else(|| request.headers().get(header::HOST).and_then(|h| h.to_str().ok())).unwrap_or("");
    host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned()
}

/// The services themselves, as they run in one zone.
fn zone_handler(region: &'static str, zone: &'static str, partner_up: Arc<AtomicBool>) -> Handler {
    Arc::new(move |request| {
        let service = host(&request).split('.').next().unwrap_or("").to_owned();
        let partner_up = partner_up.load(Ordering::Relaxed);
        Box::pin(async move {
            let mut answer = match service.as_str() {
                "exchange" if !partner_up => {
                    let mut answer = json(r#"{"status":"failed","because":"idp does not answer"}"#.to_owned());
                    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    answer
                }
                "exchange" => json(r#"{"status":"ok","service":"exchange"}"#.to_owned()),
                "portal" => {
                    let page = "<!doctype html><title>Portal</title><h1>Welcome to the portal</h1>";
                    let mut answer = Response::new(Full::from(page));
                    let html = HeaderValue::from_static("text/html; charset=utf-8");
                    answer.headers_mut().insert(header::CONTENT_TYPE, html);
                    answer
                }
                _ => {
                    let mut answer = Response::new(Full::from("no such service\n"));
                    *answer.status_mut() = StatusCode::NOT_FOUND;
                    answer
                }
            };
            answer.headers_mut().insert("x-served-region", HeaderValue::from_static(region));
            answer.headers_mut().insert("x-served-zone", HeaderValue::from_static(zone));
            answer
        })
    })
}

/// The load balancer of a region: round robin over the zones that are in rotation, over all when none is.
fn front_handler(region: &'static str, backends: Arc<Vec<Backend>>, slot: Duration) -> Handler {
    let turn = Arc::new(AtomicUsize::new(0));
    Arc::new(move |request| {
        let (host, path) = (host(&request), request.uri().path().to_owned());
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        let rotation: Vec<_> = backends.iter().filter(|b| b.in_rotation.load(Ordering::Relaxed)).collect();
        let backend = match rotation.len() {
            0 => &backends[turn % backends.len()],
            n => rotation[turn % n],
        };
        let (address, zone) = (backend.address, backend.zone);
        Box::pin(async move {
            forward(address, &host, &path, slot / 2).await.unwrap_or_else(|_| {
                let mut answer = bad_gateway("the zone does not answer");
                answer.headers_mut().insert("x-served-region", HeaderValue::from_static(region));
                answer.headers_mut().insert("x-served-zone", HeaderValue::from_static(zone));
                answer
            })
        })
    })
}

/// The public entry: whatever region is active.
fn entry_handler(
    active: Arc<Mutex<&'static str>>,
    regions: BTreeMap<&'static str, SocketAddr>,
    slot: Duration,
) -> Handler {
    Arc::new(move |request| {
        let (host, path) = (host(&request), request.uri().path().to_owned());
        let active = *active.lock().unwrap_or_else(PoisonError::into_inner);
        let region = regions.get(active).copied();
        Box::pin(async move {
            let Some(region) = region else { return bad_gateway("no active region") };
            forward(region, &host, &path, slot / 2)
                .await
                .unwrap_or_else(|_| bad_gateway("the active region does not answer"))
        })
    })
}

/// Takes zones out of rotation 3 slots after they died, and back 1.5 slots after they recovered.
async fn check_zones(backends: Arc<Vec<Backend>>, slot: Duration) {
    const CHECKS_PER_SLOT: u32 = 4;
    let mut turns = tokio::time::interval(slot / CHECKS_PER_SLOT);
    let mut in_a_row: Vec<(bool, u32)> = backends.iter().map(|_| (true, 0)).collect();
    loop {
        turns.tick().await;
        for (backend, (was_up, count)) in backends.iter().zip(&mut in_a_row) {
            let up = tokio::net::TcpStream::connect(backend.address).await.is_ok();
            *count = if up == *was_up { count.saturating_add(1) } else { 1 };
            *was_up = up;
            let needed = if up { CHECKS_PER_SLOT * 3 / 2 } else { CHECKS_PER_SLOT * 3 };
            if *count >= needed {
                backend.in_rotation.store(up, Ordering::Relaxed);
            }
        }
    }
}

/// Asks the partner a few times a slot, as a service with a session at the partner does.
fn watch_partner(address: SocketAddr, slot: Duration, stop: CancellationToken) -> Arc<AtomicBool> {
    let up = Arc::new(AtomicBool::new(true));
    let seen = up.clone();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let mut turns = tokio::time::interval(slot / 4);
        loop {
            turns.tick().await;
            let answer = forward(address, "idp", "/", slot / 2).await;
            seen.store(answer.is_ok_and(|a| a.status().is_success()), Ordering::Relaxed);
        }
    }));
    up
}
