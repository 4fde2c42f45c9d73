//! Which name was probably meant?

/// Says that a name is not known, and which one was probably meant.
pub(super) fn unknown<'a>(found: &str, known: impl Iterator<Item = &'a str>, what: &str) -> String {
    match nearest(found, known) {
        Some(name) => format!("unknown {what}: did you mean {name}?"),
        None => format!("unknown {what}: --print-config shows all that there are"),
    }
}

/// The known name that takes the fewest keystrokes, when those are few enough to be a slip, or when what was found is the
/// beginning of it.
fn nearest<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let slip = (found.len() / 4).max(2);
    let near = |(d, name): &(usize, &str)| *d <= slip || (found.len() > 2 && name.starts_with(found));
    known.map(|name| (distance(found, name), name)).filter(near).min().map(|(_, name)| name)
}

/// Insertions, removals and replacements between two texts (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let known = ["listen", "admin_listen", "data_dir"];
        for (found, meant) in [
            ("listn", Some("listen")),
            ("datadir", Some("data_dir")),
            ("admin-listen", Some("admin_listen")),
            ("data", Some("data_dir")),
        ] {
            assert_eq!(nearest(found, known.into_iter()), meant, "{found}");
        }
        assert_eq!(nearest("colour", known.into_iter()), None);
    }
}
