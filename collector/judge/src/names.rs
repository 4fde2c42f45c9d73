//! Which number has a name?
//!
//! It is asked several times for each measurement, so names are not compared letter by letter on the way to the answer:
//! each has a key that is made of eight letters at a time, keys are searched, and one name is compared at the end. Names
//! with equal keys are told apart by that comparison. The choice left aside is an ordered map of names.

/// Names, each with its place in the list that they were made from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// By key, and of equal keys by number.
    keys: Vec<(u64, usize)>,
    names: Vec<Box<str>>,
}

impl Names {
    pub(crate) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<Box<str>> = names.into_iter().map(Box::from).collect();
        let mut keys: Vec<(u64, usize)> = names.iter().enumerate().map(|(i, name)| (key(name), i)).collect();
        keys.sort_unstable();
        Self { keys, names }
    }

    /// The number of a name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let key = key(name);
        let first = self.keys.partition_point(|&(k, _)| k < key);
        let alike = self.keys[first..].iter().take_while(|&&(k, _)| k == key);
        alike.map(|&(_, i)| i).find(|&i| *self.names[i] == *name)
    }
}

/// Eight letters at a time, the last eight always among them, and the length.
fn key(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mix =
        |h: u64, word: [u8; 8]| (h.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let length = bytes.len() as u64;
    let Some(&last) = bytes.last_chunk() else {
        return bytes.iter().fold(length, |h, &b| h << 8 | u64::from(b));
    };
    let (words, _) = bytes.as_chunks();
    mix(words.iter().fold(length, |h, &word| mix(h, word)), last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_number_and_no_other_has_one() {
        let many: Vec<String> = (0..1000).map(|i| format!("exchange/endpoint-{i}-default@NL")).collect();
        let names: Vec<&str> =
            many.iter().map(String::as_str).chain(["", "a", "NL", "exchange", "exchange/"]).collect();
        let found = Names::of(names.iter().copied());
        for (i, name) in names.iter().enumerate() {
            assert_eq!(found.find(name), Some(i), "{name}");
            assert_eq!(found.find(&format!("{name}?")), None);
        }
        assert_eq!(found.find("nl"), None);
    }

    #[test]
    fn names_with_one_key_are_told_apart() {
        let (a, b) = ("one", "two");
        let found = Names { keys: vec![(key(a), 0), (key(a), 1)], names: vec![b.into(), a.into()] };
        assert_eq!((found.find(a), found.find(b)), (Some(1), None));
    }
}
