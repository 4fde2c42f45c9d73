//! How are things named, and which names are allowed?
//!
//! All names are short ASCII words, so that they can stand in a URI, a metric label, a file name and a
//! key of the store without escaping. They are checked once, when they are made.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A name that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} {found:?} is not a name: use 1 to {max} of the characters {allowed}, with a letter or digit at both ends"
)]
pub struct IdError {
    /// What the name was for, such as "agent".
    pub what: &'static str,
    /// The text that was given, cut to 80 characters.
    pub found: String,
    /// The characters that are allowed.
    pub allowed: &'static str,
    /// The longest allowed name.
    pub max: usize,
}

const WORD: &str = "a-z A-Z 0-9 - _ .";

fn check_word(what: &'static str, text: &str, max: usize) -> Result<(), IdError> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let bytes = text.as_bytes();
    let ends =
        bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.last().is_some_and(u8::is_ascii_alphanumeric);
    if ends && bytes.len() <= max && bytes.iter().all(|&b| inner(b)) {
        return Ok(());
    }
    Err(IdError { what, found: text.chars().take(80).collect(), allowed: WORD, max })
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest allowed name, in bytes.
            pub const MAX: usize = $max;

            /// Checks the name.
            ///
            /// # Errors
            /// When it is empty, too long, or has a character outside `a-z A-Z 0-9 - _ .`.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                check_word($what, text.as_ref(), $max)?;
                Ok(Self(Arc::from(text.as_ref())))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

word!(
    /// A probe agent, such as `nl-1`.
    AgentId, "agent", 63
);
word!(
    /// A cloud region, such as `NL`.
    Region, "region", 32
);
word!(
    /// A zone within a region, such as `1`.
    Zone, "zone", 32
);
word!(
    /// A service, such as `exchange`.
    ServiceId, "service", 63
);
word!(
    /// An endpoint of a service, such as `default`.
    EndpointName, "endpoint", 63
);
word!(
    /// A chain partner, such as `idp`.
    PartnerId, "partner", 63
);
word!(
    /// A control target, such as `ctl-a`.
    ControlId, "control", 63
);
word!(
    /// A policy that is judged by beside the real one, such as `eager`.
    ShadowName, "shadow policy", 32
);
word!(
    /// Content hash of a plan: 16 hexadecimal digits.
    PlanVersion, "plan version", 64
);

/// What a probe is aimed at, such as `exchange/default@NL`, `chain:idp` or `control:ctl-a`.
///
/// The text is made from checked names by [`crate::plan::TargetKind::id`]; one that comes from outside is only
/// good when a plan knows it, so there is no parser here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetId(Arc<str>);

impl TargetId {
    /// The longest allowed target id, in bytes.
    pub const MAX: usize = 256;

    /// Takes a target id from outside, cut to [`Self::MAX`] bytes; whether it names anything is the plan's to say.
    #[must_use]
    pub fn from_wire(text: &str) -> Self {
        let end = (0..=text.len().min(Self::MAX)).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        Self(Arc::from(&text[..end]))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetId({})", self.0)
    }
}

impl std::borrow::Borrow<str> for TargetId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Where an agent stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vantage {
    /// Its region.
    pub region: Region,
    /// Its zone within the region.
    pub zone: Zone,
}

impl fmt::Display for Vantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.region, self.zone)
    }
}

/// One start of an agent process: random, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub u64);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Number of a record within its boot, from 1, without gaps.
pub type Sequence = u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        for good in ["nl-1", "NL", "1", "a", "exchange.v2", "a_b"] {
            assert!(AgentId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-nl", "nl-", "n l", "nl/1", "né", "a\n", &"x".repeat(64)] {
            assert!(AgentId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_name_says_what_is_allowed() {
        let error = Region::new("N L").unwrap_err().to_string();
        assert_eq!(
            error,
            "region \"N L\" is not a name: use 1 to 32 of the characters a-z A-Z 0-9 - _ ., with a letter or digit at both ends"
        );
    }

    #[test]
    fn a_target_id_from_outside_is_cut_at_a_character() {
        let long = "é".repeat(200);
        assert_eq!(TargetId::from_wire(&long).as_str().len(), 256);
    }
}
