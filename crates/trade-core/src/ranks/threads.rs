//! Ranks that are threads of one process.

use std::sync::{Arc, Barrier, Mutex, PoisonError};

use super::{Collective, with};

/// Ranks that are threads of one process, for tests and for programs that want them.
pub struct Threads {
    rank: usize,
    shared: Arc<Shared>,
}

/// What the ranks put down for each other.
struct Shared {
    desks: Mutex<Vec<Vec<u8>>>,
    barrier: Barrier,
}

impl Threads {
    /// Does the same work on so many threads, each a rank of [`current`](super::current), and gives their
    /// results in order. If one of them unwinds, the others may wait for it for ever.
    pub fn run<R: Send>(size: usize, work: impl Fn() -> R + Sync) -> Vec<R> {
        let shared = Arc::new(Shared {
            desks: Mutex::new(vec![Vec::new(); size]),
            barrier: Barrier::new(size),
        });
        let work = &work;
        std::thread::scope(|scope| {
            let start = |rank| {
                let shared = shared.clone();
                scope.spawn(move || with(Arc::new(Self { rank, shared }), work))
            };
            let threads: Vec<_> = (0..size).map(start).collect();
            let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined
                .map(|result| result.unwrap_or_else(|cause| std::panic::resume_unwind(cause)))
                .collect()
        })
    }

    fn sum<T: Copy + Default + std::ops::Add<Output = T>, const N: usize>(
        &self,
        values: &mut [T],
        to: impl Fn(T) -> [u8; N],
        from: impl Fn([u8; N]) -> T,
    ) {
        let bytes: Vec<u8> = values.iter().flat_map(|v| to(*v)).collect();
        let all = self.gather(&bytes);
        for (i, value) in values.iter_mut().enumerate() {
            let terms = all
                .iter()
                .map(|b| from(std::array::from_fn(|k| b[N * i + k])));
            *value = terms.reduce(|a, b| a + b).unwrap_or_default();
        }
    }
}

impl Collective for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        let desks = self.shared.desks.lock();
        desks.unwrap_or_else(PoisonError::into_inner).len()
    }

    fn sum_f32(&self, values: &mut [f32]) {
        self.sum(values, f32::to_le_bytes, f32::from_le_bytes);
    }

    fn sum_f64(&self, values: &mut [f64]) {
        self.sum(values, f64::to_le_bytes, f64::from_le_bytes);
    }

    fn broadcast(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.gather(&bytes).swap_remove(0)
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let desks = || {
            let desks = self.shared.desks.lock();
            desks.unwrap_or_else(PoisonError::into_inner)
        };
        desks()[self.rank] = bytes.to_vec();
        self.barrier();
        let all = desks().clone();
        // Nobody puts down something new before everybody has read.
        self.barrier();
        all
    }

    fn barrier(&self) {
        self.shared.barrier.wait();
    }
}
