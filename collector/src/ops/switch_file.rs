//! Which switches stand in a file?
//!
//! One JSON object per line, as `uitwijk switches -o json` gives them. Keys that are not needed are ignored.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::Deserialize;
use uitwijk_judge::Switch;
use uitwijk_model::{Region, ServiceId, WallTime};

use super::exit::OpsError;
use super::range::moment;
use crate::switches::HeardSwitch;

/// Bytes of a file; a hundred thousand switches.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// What is needed of a line.
#[derive(Deserialize)]
struct Line {
    service: ServiceId,
    from: Region,
    to: Region,
    at: String,
    reported: String,
}

/// Reads all of them.
pub(crate) fn read(path: &Path) -> Result<Vec<HeardSwitch>, OpsError> {
    let cannot = |why: String| OpsError::Usage(format!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|error| cannot(error.to_string()))?;
    let size = file.metadata().map_err(|error| cannot(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(cannot(format!("{size} bytes, a file of switches has at most {FILE_BYTES_MAX}")));
    }
    let mut all = Vec::new();
    for (number, line) in (1u64..).zip(BufReader::new(file.take(FILE_BYTES_MAX)).lines()) {
        let line = line.map_err(|error| cannot(error.to_string()))?;
        if !line.trim().is_empty() {
            all.push(heard(&line).map_err(|why| cannot(format!("line {number}: {why}")))?);
        }
    }
    Ok(all)
}

fn heard(line: &str) -> Result<HeardSwitch, String> {
    let Line { service, from, to, at, reported } = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let at_of = |key: &str, text: &str| {
        let us = moment(key, text).map_err(|error| error.text().unwrap_or_default())?;
        Ok::<_, String>(WallTime::from_micros(us))
    };
    let (at, heard) = (at_of("at", &at)?, at_of("reported", &reported)?);
    Ok(HeardSwitch { service, switch: Switch { at, from, to }, heard })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("switches.jsonl");
        std::fs::write(&path, text).unwrap();
        match read(&path) {
            Ok(all) => all
                .iter()
                .map(|h| format!("{} {} {} {} {}", h.service, h.switch.from, h.switch.to, h.switch.at, h.heard))
                .collect(),
            Err(error) => error.text().unwrap().replace(&path.display().to_string(), "FILE"),
        }
    }

    #[test]
    fn lines_are_read_and_mistakes_have_their_line() {
        let good = r#"{"entry":1,"service":"exchange","from":"NL","to":"IE","at":"2026-03-02T08:15:00Z","reported":"2026-03-02T08:20:00Z"}"#;
        assert_eq!(said(&format!("\n{good}\n")), "exchange NL IE 2026-03-02T08:15:00Z 2026-03-02T08:20:00Z");
        assert_eq!(said(""), "");
        let bad = good.replace("2026-03-02T08:15:00Z", "soon");
        assert!(said(&format!("{good}\n{bad}")).starts_with("FILE: line 2: at \"soon\" is not a moment"));
        assert!(said("{}").starts_with("FILE: line 1: missing field `service`"));
    }
}
