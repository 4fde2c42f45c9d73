//! Which addresses does a name have, asked now?
//!
//! ```text
//!   literal address ------------------> as it is, no dns phase
//!   localhost, hosts file ------------> as this machine says
//!   name -> search list -> AAAA and A at once -> addresses, IPv6 first and the families in turn
//! ```
//!
//! Hickory does the asking: real queries over UDP, repeated when lost, TCP when truncated. Its resolver type is left
//! aside on purpose, because it remembers answers, shares the query of two callers who ask the same, and prefers
//! servers by what earlier lookups saw. Each of those would make the time of one attempt depend on another. So each
//! lookup gets a name server pool of its own, which lives as long as the lookup.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use hickory_resolver::config::{NameServerConfig, ResolverOpts, ServerOrderingStrategy};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle as _, FirstAnswer as _};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use uitwijk_model::Fault;
use uitwijk_model::plan::IpFamily;

use super::hosts::{self, Hosts};
use crate::probe::failure::{self, Failure};
use crate::probe::file_stamp::FileStamp;

type Pool = NameServerPool<TokioRuntimeProvider>;

/// How long the answer for one family waits for that of the other (RFC 8305 calls it the resolution delay).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// Which servers to ask, and which names to try for a short one.
#[derive(Debug, Clone)]
struct Servers {
    servers: Vec<NameServerConfig>,
    options: ResolverOpts,
    search: Vec<Name>,
}

/// How this machine resolves names.
#[derive(Debug)]
pub(crate) struct Resolvers {
    hosts: Hosts,
    resolv_conf: PathBuf,
    /// What was read, and from which state of the file.
    system: Mutex<Option<(FileStamp, Arc<Servers>)>>,
}

impl Resolvers {
    /// With the files of the machine.
    pub(crate) fn system() -> Self {
        Self::with_files("/etc/hosts".into(), "/etc/resolv.conf".into())
    }

    /// With other files.
    pub(crate) fn with_files(hosts: PathBuf, resolv_conf: PathBuf) -> Self {
        Self { hosts: Hosts::new(hosts), resolv_conf, system: Mutex::default() }
    }

    /// The addresses of a name, in the order in which to try them; never empty.
    pub(crate) async fn addresses(
        &self,
        name: &str,
        family: IpFamily,
        resolver: Option<SocketAddr>,
    ) -> Result<Vec<IpAddr>, Failure> {
        // A chosen resolver stands instead of all that the system would say, but for localhost.
        let known = hosts::loopback(name).or_else(|| resolver.is_none().then(|| self.hosts.lookup(name)).flatten());
        let found = match known {
            Some(known) => known,
            None => self.ask_for_addresses(name, family, resolver).await?,
        };
        let found = in_turn(found, family);
        if found.is_empty() {
            return Err(Failure::down(Fault::DnsNoAddress, format!("{name} has no address of family {family:?}")));
        }
        Ok(found)
    }

    async fn ask_for_addresses(
        &self,
        name: &str,
        family: IpFamily,
        resolver: Option<SocketAddr>,
    ) -> Result<Vec<IpAddr>, Failure> {
        let servers = self.servers(resolver)?;
        let mut last = Failure::down(Fault::DnsName, format!("{name} is not a name that can be asked for"));
        for name in candidates(name, &servers) {
            match ask_both(&pool_of(&servers)?, &name, family).await {
                Ok(found) => return Ok(found),
                Err(error) => last = failure_of(&error, &name),
            }
            // Only "there is no such name" sends a resolver on to the next name of the search list.
            if !matches!(last.outcome.reason(), "dns_name" | "dns_no_address") {
                break;
            }
        }
        Err(last)
    }

    /// One query, of any type, for a full name.
    pub(crate) async fn ask(
        &self,
        name: &str,
        record: RecordType,
        resolver: Option<SocketAddr>,
    ) -> Result<DnsResponse, Failure> {
        let servers = self.servers(resolver)?;
        let mut full = Name::from_utf8(name).map_err(|e| Failure::down(Fault::DnsName, e.to_string()))?;
        full.set_fqdn(true);
        query(&pool_of(&servers)?, &full, record).await.map_err(|error| failure_of(&error, &full))
    }

    fn servers(&self, resolver: Option<SocketAddr>) -> Result<Arc<Servers>, Failure> {
        match resolver {
            Some(address) => Ok(Arc::new(Servers::only(address))),
            None => self.system_servers(),
        }
    }

    fn system_servers(&self) -> Result<Arc<Servers>, Failure> {
        let fail = |problem: String| Failure::local(format!("{}: {problem}", self.resolv_conf.display()));
        let stamp = FileStamp::of(&self.resolv_conf).ok_or_else(|| fail("cannot be read".to_owned()))?;
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        match &*system {
            Some((read, servers)) if *read == stamp => Ok(Arc::clone(servers)),
            _ => {
                let text = std::fs::read(&self.resolv_conf).map_err(|e| fail(e.to_string()))?;
                let servers = Arc::new(Servers::parse(&text).map_err(|e| fail(e.to_string()))?);
                *system = Some((stamp, Arc::clone(&servers)));
                Ok(servers)
            }
        }
    }
}

impl Servers {
    fn parse(resolv_conf: &[u8]) -> Result<Self, NetError> {
        let (config, options) = hickory_resolver::system_conf::parse_resolv_conf(resolv_conf)?;
        let search = config.search().iter().cloned().chain(config.domain().cloned()).collect();
        if config.name_servers().is_empty() {
            return Err("it names no name server".into());
        }
        Ok(Self { servers: config.name_servers().to_vec(), options: without_memory(options), search })
    }

    fn only(address: SocketAddr) -> Self {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        for connection in &mut server.connections {
            connection.port = address.port();
        }
        // The attempt has a deadline of its own, so the resolver needs none that would come before it.
        let mut options = without_memory(ResolverOpts::default());
        options.timeout = Duration::from_secs(60);
        Self { servers: vec![server], options, search: Vec::new() }
    }
}

fn without_memory(mut options: ResolverOpts) -> ResolverOpts {
    options.cache_size = 0;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options
}

fn pool_of(servers: &Servers) -> Result<Pool, Failure> {
    let tls = TlsConfig::new().map_err(|e| Failure::local(e.to_string()))?;
    let context = Arc::new(PoolContext::new(servers.options.clone(), tls));
    Ok(Pool::from_config(servers.servers.iter().cloned(), context, TokioRuntimeProvider::default()))
}

/// The full names to try, in order: the name first when it has dots enough, last when it has not.
fn candidates(name: &str, servers: &Servers) -> Vec<Name> {
    let Ok(name) = Name::from_utf8(name) else { return Vec::new() };
    let mut full = name.clone();
    full.set_fqdn(true);
    if name.is_fqdn() || servers.search.is_empty() {
        return vec![full];
    }
    let first = usize::from(name.num_labels()) > servers.options.ndots;
    let mut names: Vec<Name> =
        servers.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
    names.insert(if first { 0 } else { names.len() }, full);
    names
}

async fn query(pool: &Pool, name: &Name, record: RecordType) -> Result<DnsResponse, NetError> {
    let options = DnsRequestOptions::default();
    let response = pool.lookup(Query::query(name.clone(), record), options).first_answer().await?;
    Ok(DnsError::from_response(response)?)
}

async fn ask_one(pool: &Pool, name: &Name, record: RecordType) -> Result<Vec<IpAddr>, NetError> {
    let response = query(pool, name, record).await?;
    Ok(response.answers.iter().filter_map(|r| r.data.ip_addr()).collect())
}

/// Asks for the wanted families. Of two, the one with addresses waits a little for the other, and no longer: a server
/// that drops one kind of query must not hide that the other is answered.
async fn ask_both(pool: &Pool, name: &Name, family: IpFamily) -> Result<Vec<IpAddr>, NetError> {
    match family {
        IpFamily::Ipv4 => return ask_one(pool, name, RecordType::A).await,
        IpFamily::Ipv6 => return ask_one(pool, name, RecordType::AAAA).await,
        IpFamily::Any => {}
    }
    let v6 = pin!(ask_one(pool, name, RecordType::AAAA));
    let v4 = pin!(ask_one(pool, name, RecordType::A));
    let (Either::Left((first, other)) | Either::Right((first, other))) = select(v6, v4).await;
    let other = match &first {
        Ok(found) if !found.is_empty() => {
            tokio::time::timeout(RESOLUTION_DELAY, other).await.unwrap_or_else(|_| Ok(Vec::new()))
        }
        _ => other.await,
    };
    merge(first, other)
}

type Answer = Result<Vec<IpAddr>, NetError>;

fn merge(one: Answer, other: Answer) -> Answer {
    match (one, other) {
        (Ok(mut one), Ok(other)) => {
            one.extend(other);
            Ok(one)
        }
        (Ok(found), Err(error)) | (Err(error), Ok(found)) => {
            if found.is_empty() {
                Err(error)
            } else {
                Ok(found)
            }
        }
        // "Has none of this type" says less than any other error.
        (Err(one), Err(other)) => Err(if is_empty_answer(&one) { other } else { one }),
    }
}

fn is_empty_answer(error: &NetError) -> bool {
    error.is_no_records_found() && !error.is_nx_domain()
}

/// Addresses of the wanted family; of both, IPv6 first and then in turn, so that a dead family costs one stagger only.
fn in_turn(found: Vec<IpAddr>, family: IpFamily) -> Vec<IpAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = found.into_iter().partition(IpAddr::is_ipv6);
    match family {
        IpFamily::Ipv4 => v4,
        IpFamily::Ipv6 => v6,
        IpFamily::Any => {
            let longest = v6.len().max(v4.len());
            (0..longest).flat_map(|i| [v6.get(i), v4.get(i)]).flatten().copied().collect()
        }
    }
}

fn failure_of(error: &NetError, name: &Name) -> Failure {
    let down = |fault| Failure::down(fault, format!("{name}: {error}"));
    match error {
        NetError::Io(io) if failure::is_local(io) => Failure::local(format!("{name}: {io}")),
        NetError::Timeout => down(Fault::DnsTimeout),
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => down(Fault::DnsName),
            ResponseCode::NoError => down(Fault::DnsNoAddress),
            _ => down(Fault::DnsServer),
        },
        NetError::Proto(_) | NetError::Truncated | NetError::QueryCaseMismatch => down(Fault::Protocol),
        _ => down(Fault::DnsServer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_ipv6_is_first() {
        let found = ips("10.0.0.1 10.0.0.2 10.0.0.3 ::1 ::2");
        assert_eq!(in_turn(found.clone(), IpFamily::Any), ips("::1 10.0.0.1 ::2 10.0.0.2 10.0.0.3"));
        assert_eq!(in_turn(found.clone(), IpFamily::Ipv6), ips("::1 ::2"));
        assert_eq!(in_turn(found, IpFamily::Ipv4), ips("10.0.0.1 10.0.0.2 10.0.0.3"));
    }

    #[test]
    fn a_short_name_goes_through_the_search_list_before_it_is_taken_as_full() {
        let servers = Servers::parse(b"nameserver 127.0.0.1\nsearch a.test b.test\noptions ndots:2\n").unwrap();
        for (name, expected) in [
            ("db", "db.a.test. db.b.test. db."),
            ("db.x", "db.x.a.test. db.x.b.test. db.x."),
            ("db.x.y", "db.x.y. db.x.y.a.test. db.x.y.b.test."),
            ("db.", "db."),
        ] {
            let names: Vec<_> = candidates(name, &servers).iter().map(ToString::to_string).collect();
            assert_eq!(names.join(" "), expected, "{name}");
        }
    }

    #[test]
    fn what_a_resolver_says_is_told_apart() {
        let name = Name::from_ascii("a.test.").unwrap();
        let io = |code| NetError::Io(Arc::new(std::io::Error::from_raw_os_error(code)));
        for (error, reason) in [
            (NetError::Timeout, "dns_timeout"),
            (NetError::NoConnections, "dns_server"),
            (NetError::Truncated, "protocol"),
            (NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)), "dns_server"),
            (io(libc::ECONNREFUSED), "dns_server"),
            (io(libc::ENETUNREACH), "dns_server"),
            (io(libc::EMFILE), "local"),
        ] {
            assert_eq!(failure_of(&error, &name).outcome.reason(), reason, "{error}");
        }
    }

    #[tokio::test]
    async fn localhost_and_the_hosts_file_need_no_server() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("hosts"), "127.0.0.9 here.test\n").unwrap();
        let resolvers = Resolvers::with_files(file("hosts"), file("resolv.conf"));
        let ask = async |name, family| resolvers.addresses(name, family, None).await;
        assert_eq!(ask("localhost", IpFamily::Any).await.unwrap(), ips("::1 127.0.0.1"));
        assert_eq!(ask("here.test", IpFamily::Any).await.unwrap(), ips("127.0.0.9"));
        assert_eq!(ask("here.test", IpFamily::Ipv6).await.unwrap_err().outcome.reason(), "dns_no_address");
        let failure = ask("away.test", IpFamily::Any).await.unwrap_err();
        assert!(failure.is_local() && failure.detail.contains("resolv.conf"), "{failure:?}");
    }
}
