//! Does a name server give the right answer?
//!
//! One real query, without search list, hosts file or memory. Answers are compared as text: names without case and
//! without the final dot, `TXT` records exactly, their pieces joined.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::proto::rr::{RData, RecordType};
use uitwijk_model::plan::{DnsProbe, DnsRecordType};
use uitwijk_model::{Fault, Outcome};

use super::env::ProberEnv;
use super::failure::Failure;
use super::trail::{Step, Trail};

/// A DNS probe, ready.
#[derive(Debug)]
pub(crate) struct DnsTarget {
    server: Option<SocketAddr>,
    name: String,
    record: DnsRecordType,
    expect: Vec<String>,
}

/// The records of the asked type.
#[derive(Debug)]
pub(crate) struct DnsAnswer {
    texts: Vec<String>,
    /// The addresses among them.
    pub(crate) addresses: Vec<IpAddr>,
}

impl DnsTarget {
    /// Takes what the plan says.
    pub(crate) fn new(probe: &DnsProbe) -> Self {
        Self { server: probe.server, name: probe.name.clone(), record: probe.record, expect: probe.expect.clone() }
    }

    /// Asks.
    pub(crate) async fn fetch(&self, env: &ProberEnv, trail: &Trail) -> Result<DnsAnswer, Failure> {
        let wanted = record_type(self.record);
        trail.depart();
        trail.enter(Step::Dns);
        let response = env.resolvers().ask(&self.name, wanted, self.server).await;
        trail.leave(Step::Dns);
        trail.stop();
        let response = response.map_err(|failure| self.without_addresses(failure))?;
        let records = || response.answers.iter().map(|r| &r.data).filter(|data| data.record_type() == wanted);
        Ok(DnsAnswer {
            texts: records().map(text_of).collect(),
            addresses: records().filter_map(RData::ip_addr).collect(),
        })
    }

    /// A name that exists without records of a type other than an address did not "have no address".
    fn without_addresses(&self, failure: Failure) -> Failure {
        let asks_address = matches!(self.record, DnsRecordType::A | DnsRecordType::Aaaa);
        match failure.outcome {
            Outcome::Down(Fault::DnsNoAddress) if !asks_address => Failure::down(Fault::DnsAnswer, failure.detail),
            _ => failure,
        }
    }

    /// Checks that each expected answer is there, and that there is any.
    pub(crate) fn check(&self, answer: &DnsAnswer) -> Result<(), Failure> {
        let fail = |detail| Err(Failure::down(Fault::DnsAnswer, detail));
        if answer.texts.is_empty() {
            return fail(format!("no {:?} record for {}", self.record, self.name));
        }
        let exact = matches!(self.record, DnsRecordType::Txt);
        let is_there = |wanted: &String| answer.texts.iter().any(|found| same(wanted, found, exact));
        match self.expect.iter().find(|wanted| !is_there(wanted)) {
            Some(missing) => fail(format!("{missing:?} is not among {:?}", answer.texts)),
            None => Ok(()),
        }
    }
}

fn same(a: &str, b: &str, exact: bool) -> bool {
    let ips = (a.parse::<IpAddr>(), b.parse::<IpAddr>());
    match ips {
        (Ok(a), Ok(b)) => a == b,
        _ if exact => a == b,
        _ => a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.')),
    }
}

fn text_of(data: &RData) -> String {
    match data {
        RData::TXT(txt) => txt.txt_data.iter().map(|piece| String::from_utf8_lossy(piece)).collect(),
        other => other.to_string(),
    }
}

const fn record_type(record: DnsRecordType) -> RecordType {
    match record {
        DnsRecordType::A => RecordType::A,
        DnsRecordType::Aaaa => RecordType::AAAA,
        DnsRecordType::Cname => RecordType::CNAME,
        DnsRecordType::Mx => RecordType::MX,
        DnsRecordType::Ns => RecordType::NS,
        DnsRecordType::Soa => RecordType::SOA,
        DnsRecordType::Srv => RecordType::SRV,
        DnsRecordType::Txt => RecordType::TXT,
        DnsRecordType::Ptr => RecordType::PTR,
        DnsRecordType::Caa => RecordType::CAA,
    }
}
