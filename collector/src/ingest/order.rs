//! Which target is this, of a stream that names its targets in nearly the same order again and again?
//!
//! An agent measures in the order of its schedule, so behind one target nearly always comes the one that came behind it
//! the last time. That one is compared first; only when it is another is it looked up among all that are known. The texts lie one
//! behind the other, so the comparison reads memory that the last one has brought along.

use std::collections::HashMap;

use crate::plans::{Known, TargetNumber};

/// The targets that a stream has named, in the order in which it named them first. No more than are known.
#[derive(Debug, Default)]
pub(super) struct Order {
    texts: String,
    /// Where each ends in `texts`, and its number, which stays while the process lives.
    met: Vec<(usize, TargetNumber)>,
    places: HashMap<TargetNumber, usize>,
    /// Which one is expected.
    next: usize,
}

impl Order {
    /// The number of a target, if it is known.
    pub(super) fn number(&mut self, known: &Known, text: &str) -> Option<TargetNumber> {
        if self.next >= self.met.len() {
            self.next = 0;
        }
        if let Some(&(end, number)) = self.met.get(self.next) {
            let start = self.next.checked_sub(1).map_or(0, |before| self.met[before].0);
            if self.texts[start..end] == *text {
                self.next += 1;
                return Some(number);
            }
        }
        let number = known.target(text)?;
        self.next = 1 + *self.places.entry(number).or_insert_with(|| {
            self.texts.push_str(text);
            self.met.push((self.texts.len(), number));
            self.met.len() - 1
        });
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plans::Plans;
    use crate::testing::plan;

    proptest! {
        #[test]
        fn a_target_has_the_number_that_it_is_known_by_in_any_order(asked in proptest::collection::vec(0..6_usize, 0..60)) {
            let plans = Plans::fixed(plan(1, 4));
            let known = plans.known();
            let mut texts: Vec<String> = plans.current().plan.targets().iter().take(4).map(|t| t.id.as_str().to_owned()).collect();
            texts.extend(["nobody".to_owned(), String::new()]);
            let mut order = Order::default();
            for at in asked {
                prop_assert_eq!(order.number(&known, &texts[at]), known.target(&texts[at]));
            }
        }
    }
}
