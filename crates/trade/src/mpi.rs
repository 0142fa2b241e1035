//! Ranks that are processes of MPI.

// Counts and ranks of MPI are C integers, and no call has more than 2³⁰ bytes.
#![allow(clippy::cast_possible_wrap)]

use std::{
    cell::Cell,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use mpi::{
    Threading,
    datatype::{Partition, PartitionMut},
    environment::Universe,
    topology::SimpleCommunicator,
    traits::{Communicator, CommunicatorCollectives, Equivalence, Root},
};
use trade_core::ranks::{Collective, Traffic, share_of};

use crate::{
    error::{Result, bail},
    job::LAUNCHED,
};

/// The most bytes in one call, whose counts are C integers.
const MOST: usize = 1 << 30;

/// The processes that `mpirun` or `srun` started together. There is one of it in a program.
pub struct Mpi {
    rank: usize,
    size: usize,
    host: String,
    bytes: AtomicU64,
    nanoseconds: AtomicU64,
}

thread_local! {
    // Dropping it finalises MPI, which waits for all ranks. A program that unwinds must not wait.
    static UNIVERSE: Cell<Option<&'static mut Option<Universe>>> = const { Cell::new(None) };
}

impl Mpi {
    /// The processes that were started with this one, if a launcher of MPI started it. The calling thread is
    /// the one that computes.
    ///
    /// # Errors
    /// If MPI was initialised by somebody else, or the library does not allow a program with threads.
    pub fn start() -> Result<Option<Arc<Self>>> {
        static STARTED: OnceLock<Arc<Mpi>> = OnceLock::new();
        if let Some(started) = STARTED.get() {
            return Ok(Some(started.clone()));
        }
        if LAUNCHED.iter().all(|name| std::env::var_os(name).is_none()) {
            return Ok(None);
        }
        let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled)
        else {
            bail!("MPI has been initialised before; let `trade` do it");
        };
        if threading < Threading::Funneled {
            bail!("this MPI allows no threads beside its own; use one with MPI_THREAD_FUNNELED");
        }
        UNIVERSE.set(Some(Box::leak(Box::new(Some(universe)))));
        let world = SimpleCommunicator::world();
        let started = Arc::new(Self {
            rank: world.rank() as usize,
            size: world.size() as usize,
            host: mpi::environment::processor_name().unwrap_or_default(),
            bytes: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        });
        Ok(Some(STARTED.get_or_init(|| started).clone()))
    }

    /// This rank and its machine, as messages name it.
    pub fn name(&self) -> String {
        format!("rank {} on {}", self.rank, self.host)
    }

    /// Ends this rank's part in MPI once all ranks have come here. No call may follow.
    pub fn finish(&self) {
        if let Some(universe) = UNIVERSE.take() {
            drop(universe.take());
        }
    }

    /// Ends all ranks at once with an exit code, because this one cannot go on.
    pub fn abort(&self, code: u8) -> ! {
        SimpleCommunicator::world().abort(i32::from(code))
    }

    /// Counts bytes that this rank sends, and the time of a call.
    fn counted<R>(&self, bytes: usize, call: impl FnOnce(&SimpleCommunicator) -> R) -> R {
        let start = Instant::now();
        let result = call(&SimpleCommunicator::world());
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let spent = start.elapsed().as_nanos() as u64;
        self.nanoseconds.fetch_add(spent, Ordering::Relaxed);
        result
    }

    /// Each rank adds up one segment of the numbers, in the order of the ranks, and gives it to all. A rank
    /// sends each number less than twice, however many ranks there are.
    fn sum<T>(&self, values: &mut [T])
    where
        T: Equivalence + Copy + Default + std::ops::AddAssign,
    {
        let most = MOST / size_of::<T>() / self.size;
        for values in values.chunks_mut(most.max(1)) {
            self.sum_some(values);
        }
    }

    fn sum_some<T>(&self, values: &mut [T])
    where
        T: Equivalence + Copy + Default + std::ops::AddAssign,
    {
        let shares = || (0..self.size).map(|rank| share_of(rank, self.size, values.len()));
        let counts: Vec<i32> = shares().map(|share| share.len() as i32).collect();
        let starts: Vec<i32> = shares().map(|share| share.start as i32).collect();
        let own = share_of(self.rank, self.size, values.len()).len();
        let mut terms = vec![T::default(); own * self.size];
        let (own_counts, own_starts): (Vec<i32>, Vec<i32>) = (0..self.size)
            .map(|rank| (own as i32, (rank * own) as i32))
            .unzip();
        let bytes = (values.len() - own + own * (self.size - 1)) * size_of::<T>();
        self.counted(bytes, |world| {
            let sent = Partition::new(&*values, &counts[..], &starts[..]);
            let mut received = PartitionMut::new(&mut terms[..], &own_counts[..], &own_starts[..]);
            world.all_to_all_varcount_into(&sent, &mut received);
            let (sum, others) = terms.split_at_mut(own);
            for other in others.chunks_exact(own.max(1)) {
                for (sum, other) in sum.iter_mut().zip(other) {
                    *sum += *other;
                }
            }
            let mut sums = PartitionMut::new(values, &counts[..], &starts[..]);
            world.all_gather_varcount_into(&*sum, &mut sums);
        });
    }

    /// The bytes of one rank on every rank; all know how many there are.
    fn broadcast_from(&self, rank: usize, bytes: &mut [u8]) {
        let sent = if rank == self.rank { bytes.len() } else { 0 };
        self.counted(sent, |world| {
            let root = world.process_at_rank(rank as i32);
            for bytes in bytes.chunks_mut(MOST) {
                root.broadcast_into(bytes);
            }
        });
    }
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum_f32(&self, values: &mut [f32]) {
        self.sum(values);
    }

    fn sum_f64(&self, values: &mut [f64]) {
        self.sum(values);
    }

    fn broadcast(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let mut length = (bytes.len() as u64).to_le_bytes();
        self.broadcast_from(0, &mut length);
        bytes.resize(u64::from_le_bytes(length) as usize, 0);
        self.broadcast_from(0, &mut bytes);
        bytes
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lengths = vec![0_u64; self.size];
        self.counted(8, |world| {
            world.all_gather_into(&(bytes.len() as u64), &mut lengths[..]);
        });
        let total: u64 = lengths.iter().sum();
        if total > MOST as u64 {
            let each = |(rank, length): (usize, &u64)| {
                let mut all = vec![0; *length as usize];
                if rank == self.rank {
                    all.copy_from_slice(bytes);
                }
                self.broadcast_from(rank, &mut all);
                all
            };
            return lengths.iter().enumerate().map(each).collect();
        }
        let counts: Vec<i32> = lengths.iter().map(|l| *l as i32).collect();
        let mut starts = vec![0; self.size];
        for i in 1..self.size {
            starts[i] = starts[i - 1] + counts[i - 1];
        }
        let mut all = vec![0_u8; total as usize];
        self.counted(bytes.len() * (self.size - 1), |world| {
            let mut parts = PartitionMut::new(&mut all[..], &counts[..], &starts[..]);
            world.all_gather_varcount_into(bytes, &mut parts);
        });
        let mut rest = &all[..];
        let mut parts = Vec::with_capacity(self.size);
        for length in lengths {
            let (part, after) = rest.split_at(length as usize);
            parts.push(part.to_vec());
            rest = after;
        }
        parts
    }

    fn barrier(&self) {
        self.counted(0, CommunicatorCollectives::barrier);
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            bytes: self.bytes.load(Ordering::Relaxed),
            seconds: 1e-9 * self.nanoseconds.load(Ordering::Relaxed) as f64,
        }
    }
}
