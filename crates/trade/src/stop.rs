//! Ending a long computation between two batches.

use std::{
    cell::RefCell,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What a computation that was told to stop unwinds with.
#[derive(Clone, Copy, Debug)]
pub struct Stopped;

thread_local! {
    static FLAG: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Computes, and lets a flag end it: once the flag is set, sampling, densities, evaluation, pilot runs and
/// estimates on this thread unwind with [`Stopped`] before their next batch. Training has a flag of its own,
/// [`TrainOptions::stop`](crate::TrainOptions::stop), for it ends with a checkpoint.
pub fn stoppable<T>(flag: Arc<AtomicBool>, compute: impl FnOnce() -> T) -> T {
    struct Former(Option<Arc<AtomicBool>>);
    impl Drop for Former {
        fn drop(&mut self) {
            FLAG.set(self.0.take());
        }
    }
    let _former = Former(FLAG.replace(Some(flag)));
    compute()
}

/// Unwinds if this thread's computation has been told to stop.
pub(crate) fn stop_if_told() {
    let told = FLAG.with_borrow(|flag| flag.as_ref().is_some_and(|f| f.load(Ordering::Relaxed)));
    if told {
        resume_unwind(Box::new(Stopped));
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_flag_ends_its_own_computation_only() {
        let flag = Arc::<AtomicBool>::default();
        let mut done = 0;
        let ended = catch_unwind(AssertUnwindSafe(|| {
            stoppable(flag.clone(), || {
                for i in 0..10 {
                    stop_if_told();
                    // One inside of it has its own flag.
                    stoppable(Arc::default(), stop_if_told);
                    flag.store(i == 3, Ordering::Relaxed);
                    done += 1;
                }
            });
        }));
        assert!(ended.unwrap_err().is::<Stopped>());
        assert_eq!(done, 4);
        stop_if_told();
    }
}
