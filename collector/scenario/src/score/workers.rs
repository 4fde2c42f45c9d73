//! How are many worlds played on all cores, with the same result every time?

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does a piece of work for every number below `many`; results stand in the order of the numbers.
pub fn in_parallel<T: Send>(many: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let cores = thread::available_parallelism().map_or(1, usize::from).min(many.max(1));
    let next = AtomicUsize::new(0);
    let take = || {
        let mut mine = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= many {
                return mine;
            }
            mine.push((n, work(n)));
        }
    };
    let mut all: Vec<(usize, T)> = thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(take)).collect();
        let mut all = take();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, done)| done).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_once_and_in_order() {
        assert_eq!(in_parallel(1000, |n| n * 2), (0..1000).map(|n| n * 2).collect::<Vec<_>>());
        assert!(in_parallel(0, |n| n).is_empty());
    }
}
