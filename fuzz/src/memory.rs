//! An allocator that knows how much memory is in use, and stops at a limit.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

/// The most bytes that may be in use.
pub(crate) const LIMIT: usize = 1 << 30;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static EXCEEDED: AtomicBool = AtomicBool::new(false);

/// The system's allocator with a count.
pub(crate) struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// The most bytes that were in use at one time.
pub(crate) fn peak() -> usize {
    PEAK.load(Relaxed)
}

/// Whether the limit was reached. The thread that did so waits for the process to end.
pub(crate) fn exceeded() -> bool {
    EXCEEDED.load(Relaxed)
}

fn add(size: usize) {
    let used = USED.fetch_add(size, Relaxed).saturating_add(size);
    PEAK.fetch_max(used, Relaxed);
    // An allocator must not unwind. The thread sleeps until the watchdog ends the process, and the
    // memory is never asked for.
    if used > LIMIT && !EXCEEDED.swap(true, Relaxed) {
        loop {
            thread::sleep(Duration::from_secs(1));
        }
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises are those that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
