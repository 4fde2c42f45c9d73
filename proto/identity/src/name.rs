//! What does a certificate call its holder, and what may the holder do?
//!
//! Exactly one URI of the scheme `uitwijk` among the subject alternative names:
//!
//! ```text
//!   uitwijk://agent/NL/1/nl-1        an agent, with its region and zone
//!   uitwijk://collector/NL/col-nl    a collector, with its region
//!   uitwijk://viewer/NAME            may read
//!   uitwijk://operator/NAME          may read and act
//! ```
//!
//! Other names in the certificate are left to others (a DNS name for the server, a URI of another scheme).

use std::fmt;

use rustls::pki_types::CertificateDer;
use uitwijk_model::{AgentId, IdError, Region, Vantage, Zone};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

const SCHEME: &str = "uitwijk://";

/// What the holder of a certificate may do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Delivers measurements made at this place, and reads the plan.
    Agent(Vantage),
    /// Answers agents and people from this region.
    Collector(Region),
    /// Reads.
    Viewer,
    /// Reads and acts.
    Operator,
}

impl Role {
    /// The word for it in URIs, logs and errors.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Agent(_) => "agent",
            Self::Collector(_) => "collector",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// A name and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Name, a checked word such as `nl-1`.
    pub name: String,
    /// Role, with the place where it has one.
    pub role: Role,
}

/// A certificate or URI that names nobody we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The certificate cannot be parsed.
    #[error("the certificate cannot be parsed: {0}")]
    Encoding(String),
    /// No URI of our scheme.
    #[error(
        "the certificate has no subject alternative name of the form uitwijk://ROLE/...: issue one with `uitwijk pki`"
    )]
    Missing,
    /// More than one URI of our scheme.
    #[error("the certificate has {0} names of the form uitwijk://..., expected one")]
    Several(usize),
    /// A URI of our scheme in the wrong form.
    #[error(
        "{0:?} is not an identity: expected uitwijk://agent/REGION/ZONE/NAME, uitwijk://collector/REGION/NAME, \
         uitwijk://viewer/NAME or uitwijk://operator/NAME"
    )]
    Form(String),
    /// A part of the URI is not a name.
    #[error("{uri:?} is not an identity: {source}")]
    Name {
        /// The whole URI.
        uri: String,
        /// What is wrong with which part.
        source: IdError,
    },
}

impl Identity {
    /// An agent.
    #[must_use]
    pub fn agent(name: &AgentId, vantage: Vantage) -> Self {
        Self { name: name.to_string(), role: Role::Agent(vantage) }
    }

    /// The URI that stands in the certificate.
    #[must_use]
    pub fn to_uri(&self) -> String {
        let Self { name, role } = self;
        let label = role.label();
        match role {
            Role::Agent(at) => format!("{SCHEME}{label}/{}/{}/{name}", at.region, at.zone),
            Role::Collector(region) => format!("{SCHEME}{label}/{region}/{name}"),
            Role::Viewer | Role::Operator => format!("{SCHEME}{label}/{name}"),
        }
    }

    /// Reads what [`Self::to_uri`] writes.
    ///
    /// # Errors
    /// When the form is another, or a part is not a name.
    pub fn parse_uri(uri: &str) -> Result<Self, IdentityError> {
        let short = || uri.chars().take(200).collect::<String>();
        let bad = |source| IdentityError::Name { uri: short(), source };
        let path = uri.strip_prefix(SCHEME).ok_or_else(|| IdentityError::Form(short()))?;
        let (name, role) = match *path.split('/').collect::<Vec<_>>() {
            ["agent", region, zone, name] => {
                let region = Region::new(region).map_err(bad)?;
                let zone = Zone::new(zone).map_err(bad)?;
                (name, Role::Agent(Vantage { region, zone }))
            }
            ["collector", region, name] => (name, Role::Collector(Region::new(region).map_err(bad)?)),
            ["viewer", name] => (name, Role::Viewer),
            ["operator", name] => (name, Role::Operator),
            _ => return Err(IdentityError::Form(short())),
        };
        // Names of all roles are words of the same kind as those of agents; only the error calls them differently.
        AgentId::new(name).map_err(|error| bad(IdError { what: role.label(), ..error }))?;
        Ok(Self { name: name.to_owned(), role })
    }

    /// Reads the one URI of our scheme in a certificate.
    ///
    /// # Errors
    /// When the certificate cannot be parsed, has no such URI, several, or one in the wrong form.
    pub fn from_certificate(der: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| IdentityError::Encoding(error.to_string()))?;
        Self::from_parsed(&certificate)
    }

    pub(crate) fn from_parsed(certificate: &X509Certificate<'_>) -> Result<Self, IdentityError> {
        let names =
            certificate.subject_alternative_name().map_err(|error| IdentityError::Encoding(error.to_string()))?;
        let uris: Vec<&str> = names
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
                _ => None,
            })
            .collect();
        match *uris {
            [] => Err(IdentityError::Missing),
            [uri] => Self::parse_uri(uri),
            _ => Err(IdentityError::Several(uris.len())),
        }
    }

    /// The name as an agent's, when it is one.
    #[must_use]
    pub fn as_agent(&self) -> Option<(AgentId, &Vantage)> {
        match &self.role {
            Role::Agent(vantage) => AgentId::new(&self.name).ok().map(|id| (id, vantage)),
            _ => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_uri())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_go_both_ways() {
        for uri in [
            "uitwijk://agent/NL/1/nl-1",
            "uitwijk://collector/NL/col-nl",
            "uitwijk://viewer/grafana",
            "uitwijk://operator/pager.team-a",
        ] {
            assert_eq!(Identity::parse_uri(uri).unwrap().to_uri(), uri);
        }
    }

    #[test]
    fn a_wrong_uri_says_what_is_expected() {
        let errors: Vec<String> = [
            "https://agent/NL/1/nl-1",
            "uitwijk://agent/NL/nl-1",
            "uitwijk://agent/NL/1/nl-1/x",
            "uitwijk://admin/anna",
            "uitwijk://viewer/",
            "uitwijk://collector/N L/col",
            "uitwijk://operator/a\u{202e}b",
        ]
        .into_iter()
        .map(|uri| Identity::parse_uri(uri).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }
}
