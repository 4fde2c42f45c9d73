//! What does a text say that the plan leaves in a file on this agent?
//!
//! Files are read at each attempt, so that a secret can be changed without a restart. They are small and local; the
//! read happens in place because handing it to another thread costs more than it takes.

use std::borrow::Cow;
use std::io::Read as _;

use uitwijk_model::plan::SecretText;

use super::failure::Failure;

const BYTES_MAX: u64 = 64 * 1024;

/// The text, read now.
pub(crate) fn read<'a>(what: &str, text: &'a SecretText) -> Result<Cow<'a, str>, Failure> {
    let path = match text {
        SecretText::Plain(text) => return Ok(Cow::Borrowed(text)),
        SecretText::File(path) => path,
    };
    let fail = |problem: String| Failure::local(format!("{what} from file {}: {problem}", path.display()));
    let file = std::fs::File::open(path).map_err(|e| fail(e.to_string()))?;
    let mut content = String::new();
    file.take(BYTES_MAX + 1).read_to_string(&mut content).map_err(|e| fail(e.to_string()))?;
    if content.len() as u64 > BYTES_MAX {
        return Err(fail(format!("larger than {BYTES_MAX} bytes")));
    }
    let end = content.trim_end_matches(['\r', '\n']).len();
    content.truncate(end);
    Ok(Cow::Owned(content))
}

/// Whether the text is a secret, never to be shown to another host.
pub(crate) const fn is_secret(text: &SecretText) -> bool {
    matches!(text, SecretText::File(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_each_time_without_its_last_newline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let text = SecretText::File(path.clone());
        assert!(read("header", &text).unwrap_err().is_local());
        for (content, expected) in [("one\n", "one"), ("two\r\n", "two"), ("a\nb\n", "a\nb"), ("", "")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read("header", &text).unwrap(), expected);
        }
        std::fs::write(&path, vec![b'x'; 64 * 1024 + 1]).unwrap();
        let failure = read("header authorization", &text).unwrap_err();
        assert!(failure.detail.contains("header authorization from file") && failure.detail.contains("65536"));
    }
}
