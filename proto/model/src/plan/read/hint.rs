//! Which of the known words was meant?

/// The word that is closest to `found`, when one is close enough to be a slip of the pen.
pub(super) fn closest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if found.len() > 64 {
        return None;
    }
    let allowed = (found.chars().count() / 3).clamp(1, 3);
    let near = known.into_iter().map(|word| (distance(found, word), word)).filter(|(d, _)| *d <= allowed);
    near.min().map(|(_, word)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other; case does not count.
fn distance(a: &str, b: &str) -> usize {
    let lower = |s: &str| s.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (a, b) = (lower(a), lower(b));
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word() {
        let known = ["regions", "agents", "services", "slot"];
        for (found, meant) in [
            ("regons", Some("regions")),
            ("Regions", Some("regions")),
            ("agnets", Some("agents")),
            ("service", Some("services")),
            ("solt", Some("slot")),
            ("timeout", None),
            ("", None),
        ] {
            assert_eq!(closest(found, known), meant, "{found}");
        }
    }
}
