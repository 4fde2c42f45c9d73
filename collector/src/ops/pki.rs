//! How does somebody who just wants to try it get certificates?

use std::path::{Path, PathBuf};

use serde_json::json;
use uitwijk_identity::issue::{CA_FILE, CA_KEY_FILE};
use uitwijk_identity::{Authority, Identity, IssueError, Role, TlsFiles, Validity};
use uitwijk_model::{AgentId, Millis, Region, Vantage, Zone};

use super::args::{PkiCommand, PkiRole};
use super::exit::{Answer, OpsError};
use super::screen::{Screen, Tone};

pub(crate) fn run(screen: &mut Screen<'_>, command: &PkiCommand) -> Result<Answer, OpsError> {
    match command {
        PkiCommand::Init { dir, name, lasting } => init(screen, dir, name, *lasting),
        PkiCommand::Issue { role, name, region, zone, host, dir, lasting } => {
            let identity = identity(*role, name, region.as_deref(), zone.as_deref())?;
            issue(screen, &identity, host, dir, *lasting)
        }
    }
}

fn failed(error: &IssueError) -> OpsError {
    OpsError::Usage(error.to_string())
}

fn validity(screen: &Screen<'_>, lasting: Millis) -> Validity {
    Validity::from_now(screen.now(), lasting)
}

fn init(screen: &mut Screen<'_>, dir: &Path, name: &str, lasting: Millis) -> Result<Answer, OpsError> {
    let validity = validity(screen, lasting);
    let authority = Authority::create(name, validity).map_err(|error| failed(&error))?;
    authority.save(dir).map_err(|error| failed(&error))?;
    let (certificate, key) = (dir.join(CA_FILE), dir.join(CA_KEY_FILE));
    if screen.json {
        screen.object(&json!({
            "ca_file": certificate,
            "ca_key_file": key,
            "expires": validity.not_after.to_string(),
        }))?;
    } else {
        let until = screen.moment(validity.not_after.as_micros());
        screen.line(Tone::Plain, &format!("authority    {}  until {until}", certificate.display()))?;
        screen.line(Tone::Plain, &format!("its key      {}  keep it to yourself", key.display()))?;
    }
    Ok(Answer::Yes)
}

fn identity(role: PkiRole, name: &str, region: Option<&str>, zone: Option<&str>) -> Result<Identity, OpsError> {
    let wrong = |error: uitwijk_model::IdError| OpsError::Usage(error.to_string());
    let region = || Region::new(region.unwrap_or_default()).map_err(wrong);
    let role = match role {
        PkiRole::Agent => {
            let zone = Zone::new(zone.unwrap_or_default()).map_err(wrong)?;
            Role::Agent(Vantage { region: region()?, zone })
        }
        PkiRole::Collector => Role::Collector(region()?),
        PkiRole::Viewer => Role::Viewer,
        PkiRole::Operator => Role::Operator,
    };
    // All names are words of the kind that agents have.
    AgentId::new(name).map_err(|error| wrong(uitwijk_model::IdError { what: role.label(), ..error }))?;
    Ok(Identity { name: name.to_owned(), role })
}

fn issue(
    screen: &mut Screen<'_>,
    identity: &Identity,
    hosts: &[String],
    dir: &Path,
    lasting: Millis,
) -> Result<Answer, OpsError> {
    let authority = Authority::load(dir).map_err(|error| {
        OpsError::Usage(format!("{error}; `uitwijk pki init --dir {}` makes an authority", dir.display()))
    })?;
    let validity = validity(screen, lasting);
    let issued = authority.issue(identity, hosts, validity).map_err(|error| failed(&error))?;
    let files = issued.save(dir, &identity.name, &dir.join(CA_FILE)).map_err(|error| failed(&error))?;
    if screen.json {
        screen.object(&json!({
            "identity": identity.to_uri(),
            "ca_file": files.ca_file,
            "cert_file": files.cert_file,
            "key_file": files.key_file,
            "expires": validity.not_after.to_string(),
        }))?;
        return Ok(Answer::Yes);
    }
    let until = screen.moment(validity.not_after.as_micros());
    screen.line(Tone::Plain, &format!("identity     {identity}"))?;
    screen.line(Tone::Plain, &format!("certificate  {}  until {until}", files.cert_file.display()))?;
    screen.line(Tone::Plain, &format!("its key      {}", files.key_file.display()))?;
    match identity.role {
        Role::Viewer | Role::Operator => variables(screen, &files)?,
        Role::Agent(_) | Role::Collector(_) => {}
    }
    Ok(Answer::Yes)
}

/// For copying into a shell.
fn variables(screen: &mut Screen<'_>, files: &TlsFiles) -> Result<(), OpsError> {
    screen.line(Tone::Plain, "")?;
    for (name, path) in [
        ("UITWIJK_TLS_CA", &files.ca_file),
        ("UITWIJK_TLS_CERT", &files.cert_file),
        ("UITWIJK_TLS_KEY", &files.key_file),
    ] {
        screen.line(Tone::Plain, &format!("export {name}={}", quoted(path)))?;
    }
    Ok(())
}

fn quoted(path: &PathBuf) -> String {
    let text = std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string();
    let simple = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    match text.chars().all(simple) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
