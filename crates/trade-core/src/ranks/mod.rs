//! Several processes that do one computation together.
//!
//! Every rank runs the same program on the same numbers. What costs time is split: the rows of a batch in
//! the passes of a flow, the chains of a simulation. Each rank computes its share, and all ranks are given
//! the whole result. All else is repeated on every rank, from equal numbers, and comes out equal. A
//! computation therefore has the random numbers, the caches and the decisions of a single process.
//!
//! Whatever splits its work asks [`current`] for the ranks there are. By default there is one.
//!
//! ```
//! use std::sync::Arc;
//! use trade_core::ranks::{self, Collective, Threads};
//!
//! // Here two threads take the part of two processes.
//! let sums: Vec<f64> = Threads::run(2, || {
//!     let ranks = ranks::current();
//!     let mut sum = [ranks.rank() as f64 + 1.0];
//!     ranks.sum_f64(&mut sum);
//!     sum[0]
//! });
//! assert_eq!(sums, [3.0, 3.0]);
//! ```

mod share;
mod threads;

use std::{cell::RefCell, path::Path, sync::Arc};

pub use share::{Share, spread};
pub use threads::Threads;

use crate::{
    error::{Error, Result},
    hash::fnv,
};

/// The ranks of a computation, seen from one of them. Every rank makes the same calls in the same order.
///
/// A call does not fail. Where a rank or the network is lost, the implementation ends the program.
pub trait Collective: Send + Sync {
    /// The number of this rank, below [`size`](Self::size).
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// Replaces each number by its sum over the ranks. The terms are added in the order of the ranks, so
    /// that the sum is the same on every rank and in every run. All ranks give equally many numbers.
    fn sum_f32(&self, values: &mut [f32]);

    /// As [`sum_f32`](Self::sum_f32), in double precision.
    fn sum_f64(&self, values: &mut [f64]);

    /// The bytes of rank 0, on every rank. What other ranks give is dropped.
    fn broadcast(&self, bytes: Vec<u8>) -> Vec<u8>;

    /// The bytes of every rank in the order of the ranks, on every rank. Their numbers may differ.
    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>>;

    /// Waits until all ranks have come here.
    fn barrier(&self);

    /// What this rank has sent so far, and how long it was in calls.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

/// What one rank spent on communication.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// The bytes that this rank sent.
    pub bytes: u64,
    /// The seconds in calls. They include the wait for slower ranks.
    pub seconds: f64,
}

/// A single process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Single;

impl Collective for Single {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn sum_f32(&self, _: &mut [f32]) {}

    fn sum_f64(&self, _: &mut [f64]) {}

    fn broadcast(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        vec![bytes.to_vec()]
    }

    fn barrier(&self) {}
}

thread_local! {
    static CURRENT: RefCell<Arc<dyn Collective>> = RefCell::new(Arc::new(Single));
}

/// The ranks that the calling thread computes with.
pub fn current() -> Arc<dyn Collective> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Does some work with these ranks; the calling thread then has the ranks it had before.
pub fn with<R>(ranks: Arc<dyn Collective>, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<dyn Collective>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            if let Some(before) = self.0.take() {
                CURRENT.with(|current| *current.borrow_mut() = before);
            }
        }
    }
    let before = CURRENT.with(|current| current.replace(ranks));
    let _restore = Restore(Some(before));
    work()
}

/// Does some work without other ranks: what only one rank does, or what each does for itself.
pub fn alone<R>(work: impl FnOnce() -> R) -> R {
    with(Arc::new(Single), work)
}

/// Whether the calling thread is on the rank that writes files and talks to the user.
pub fn is_first() -> bool {
    current().rank() == 0
}

/// The numbers of rank 0, which may have been measured with a clock, on every rank.
pub fn agreed(values: &[f64]) -> Vec<f64> {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let bytes = current().broadcast(bytes);
    let numbers = bytes.chunks_exact(8);
    numbers
        .map(|b| f64::from_le_bytes(std::array::from_fn(|i| b[i])))
        .collect()
}

/// A number of each rank in the order of the ranks, on every rank.
pub fn each(here: f64) -> Vec<f64> {
    let all = current().gather(&here.to_le_bytes());
    let number = |bytes: &Vec<u8>| f64::from_le_bytes(std::array::from_fn(|i| bytes[i]));
    all.iter().map(number).collect()
}

/// Whether something is so on rank 0, such as that a file is there.
pub fn first_says(here: bool) -> bool {
    agreed(&[f64::from(u8::from(here))]) == [1.0]
}

/// Whether something is so on any rank.
pub fn any(here: bool) -> bool {
    let mut ranks = [f64::from(u8::from(here))];
    current().sum_f64(&mut ranks);
    ranks[0] > 0.0
}

/// Does what only rank 0 can do, such as looking into a folder, and gives its result to all ranks as JSON.
///
/// # Errors
/// The error of rank 0, on every rank.
pub fn from_first<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
    E: std::fmt::Display + From<Error>,
{
    let ranks = current();
    if ranks.size() == 1 {
        return work();
    }
    let mut here = None;
    let mut said = Vec::new();
    if ranks.rank() == 0 {
        let found = alone(work);
        let told = found.as_ref().map_err(ToString::to_string);
        said = serde_json::to_vec(&told).unwrap_or_default();
        here = Some(found);
    }
    let said = ranks.broadcast(said);
    if let Some(found) = here {
        return found;
    }
    let told: Result<T, String> =
        serde_json::from_slice(&said).map_err(|error| Error::Ranks(error.to_string()))?;
    Ok(told.map_err(|reason| Error::Ranks(format!("rank 0 says: {reason}")))?)
}

/// The bytes of a file that rank 0 can read, on every rank.
///
/// # Errors
/// If rank 0 cannot read it.
pub fn read_first(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from_first(|| {
        bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
        Ok::<_, Error>(())
    })?;
    Ok(current().broadcast(bytes))
}

/// Compares bytes of this rank, such as weights, with those of the others.
///
/// # Errors
/// If a rank has other bytes than rank 0; `what` names them, and `advice` says what to do.
pub fn same(what: &str, advice: &str, bytes: impl Iterator<Item = u8>) -> Result<()> {
    let ranks = current();
    if ranks.size() == 1 {
        return Ok(());
    }
    let hash = fnv(bytes);
    let all = ranks.gather(&hash.to_le_bytes());
    match all.iter().position(|other| *other != all[0]) {
        None => Ok(()),
        Some(rank) => Err(Error::Ranks(format!(
            "{what} differ between rank 0 and rank {rank}; {advice}"
        ))),
    }
}

/// The share of a rank in so many rows, or in other pieces of work: shares are contiguous, in the order of
/// the ranks, and differ by one row at most.
pub fn share_of(rank: usize, size: usize, rows: usize) -> std::ops::Range<usize> {
    let start = |rank: usize| rank * rows / size;
    start(rank)..start(rank + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_rows_once() {
        for (size, rows) in [(1, 5), (2, 5), (4, 7), (8, 3), (3, 0)] {
            let shares: Vec<_> = (0..size).flat_map(|r| share_of(r, size, rows)).collect();
            assert_eq!(shares, (0..rows).collect::<Vec<_>>());
            let lengths = (0..size).map(|r| share_of(r, size, rows).len());
            assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 1);
        }
    }

    #[test]
    fn rank_0_decides_and_its_error_is_everyones() {
        let found = Threads::run(3, || {
            let rank = current().rank();
            let number = from_first(|| Ok::<_, Error>(40 + rank)).unwrap();
            let error = from_first(|| -> Result<usize> { Err(Error::setting("x", "no")) });
            (
                number,
                error.unwrap_err().to_string(),
                agreed(&[rank as f64, 0.5]),
            )
        });
        for (number, error, agreed) in &found {
            assert_eq!((*number, &agreed[..]), (40, &[0.0, 0.5][..]));
            assert!(error.ends_with("setting `x`: no"), "{error}");
        }
    }

    #[test]
    fn a_rank_that_differs_is_named() {
        let said = Threads::run(3, || {
            let rank = current().rank();
            let equal = same("weights", "try", [1, 2].into_iter());
            let other = same("weights", "try", [u8::from(rank == 2)].into_iter());
            (
                equal.is_ok(),
                other.unwrap_err().to_string(),
                any(rank == 1),
                any(false) || first_says(rank == 1),
            )
        });
        for (equal, error, any_of, none) in said {
            assert!(equal && any_of && !none);
            assert!(
                error.contains("weights differ between rank 0 and rank 2"),
                "{error}"
            );
        }
    }

    #[test]
    fn work_alone_has_no_ranks_and_they_come_back() {
        let sizes = Threads::run(2, || [alone(|| current().size()), current().size()]);
        assert_eq!(sizes, [[1, 2], [1, 2]]);
        assert_eq!(current().size(), 1);
    }
}
