//! Is a verdict log what was written?

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::exit::{Answer, OpsError};
use super::screen::{Screen, Tone};
use super::switch_args::AuditVerify;
use crate::verdict_log::{Audit, Hash, LogError, VerdictLog};

/// An entry whose hash was noted, and the hash that was found, if it was reached.
struct Noted {
    entry: u64,
    hash: Hash,
    found: Option<Hash>,
}

/// Checks every entry, and tells what it found.
pub(crate) fn verify(screen: &mut Screen<'_>, asked: &AuditVerify) -> Result<Answer, OpsError> {
    let mut noted = asked.noted.iter().map(|text| note(text)).collect::<Result<Vec<_>, _>>()?;
    let mut wanted: BTreeMap<u64, Option<Hash>> = noted.iter().map(|noted| (noted.entry, None)).collect();
    let dir = asked.dir.join("verdicts");
    let audit = VerdictLog::audit(&dir, &mut |entry, hash| {
        if let Some(found) = wanted.get_mut(&entry) {
            *found = Some(hash);
        }
    })
    .map_err(|error| OpsError::Usage(error.to_string()))?;
    noted.iter_mut().for_each(|noted| noted.found = wanted[&noted.entry]);
    let good = audit.damage.is_none() && noted.iter().all(|noted| noted.found == Some(noted.hash));
    if screen.json {
        screen.object(&object(&audit, &noted))?;
    } else {
        tell(screen, &audit, &noted)?;
    }
    Ok(if good { Answer::Yes } else { Answer::No })
}

fn note(text: &str) -> Result<Noted, OpsError> {
    let wrong = || {
        OpsError::Usage(format!("--noted {text:?} is no entry and hash: write the number, a colon and 64 hex digits"))
    };
    let (entry, hash) = text.split_once(':').ok_or_else(wrong)?;
    let hash = Hash::try_from(hash.to_owned()).map_err(|_| wrong())?;
    let entry = entry.parse().ok().filter(|&entry: &u64| entry > 0).ok_or_else(wrong)?;
    Ok(Noted { entry, hash, found: None })
}

fn tell(screen: &mut Screen<'_>, audit: &Audit, noted: &[Noted]) -> Result<(), OpsError> {
    screen.line(Tone::Plain, &format!("entries  {}", audit.good.entries))?;
    screen.line(Tone::Plain, &format!("head     {}", audit.good.head))?;
    match &audit.damage {
        None => screen.line(Tone::Good, "damaged  none")?,
        Some(damage) => {
            let entry = damaged_entry(damage).map_or("?".to_owned(), |entry| entry.to_string());
            screen.line(Tone::Bad, &format!("damaged  {entry}"))?;
            screen.sentence("  ", &damage.to_string())?;
        }
    }
    for Noted { entry, hash, found } in noted {
        match found {
            Some(found) if found == hash => screen.line(Tone::Good, &format!("noted    {entry} is as noted"))?,
            Some(found) => {
                screen.line(Tone::Bad, &format!("noted    {entry} is another"))?;
                screen.line(Tone::Plain, &format!("  noted  {hash}"))?;
                screen.line(Tone::Plain, &format!("  found  {found}"))?;
            }
            None => screen.line(Tone::Bad, &format!("noted    {entry} is not among the good entries"))?,
        }
    }
    Ok(())
}

/// The entry that is damaged; absent when the disk does not even tell that.
const fn damaged_entry(damage: &LogError) -> Option<u64> {
    match damage {
        LogError::Damaged { sequence, .. } => Some(*sequence),
        _ => None,
    }
}

fn object(audit: &Audit, noted: &[Noted]) -> Value {
    let noted = noted.iter().map(|Noted { entry, hash, found }| {
        json!({
            "entry": entry,
            "noted": hash.to_string(),
            "found": found.map(|found| found.to_string()),
            "agrees": *found == Some(*hash),
        })
    });
    let damaged =
        audit.damage.as_ref().map(|damage| json!({ "entry": damaged_entry(damage), "why": damage.to_string() }));
    json!({
        "entries": audit.good.entries,
        "head": audit.good.head.to_string(),
        "damaged": damaged,
        "noted": noted.collect::<Value>(),
    })
}
