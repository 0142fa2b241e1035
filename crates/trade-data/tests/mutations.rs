//! Damaged files: whatever the bytes are, reading ends with arrays or one sentence, in bounded memory.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use trade_data::{read_csv, read_npy, read_npz};

/// The system's allocator, which also records the largest single request.
struct Recording;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Recording {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Relaxed);
        // SAFETY: the caller's promises are those that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Recording = Recording;

/// Marsaglia's xorshift generator.
fn draw(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

/// Some bytes changed, cut off, doubled or replaced by digits.
fn mutated(seed: &[u8], state: &mut u64) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=(draw(state) % 4) {
        let at = draw(state) % bytes.len().max(1);
        match draw(state) % 6 {
            0 => bytes.truncate(at.max(1)),
            1 => bytes.insert(at, b'0' + (draw(state) % 10) as u8),
            2 => bytes[at] = [0, 0xff, 0x7f, b'9', b'('][draw(state) % 5],
            3 => bytes[at] ^= 1 << (draw(state) % 8),
            4 => bytes[at] = draw(state) as u8,
            _ => {
                let part = bytes[at..].iter().copied().take(draw(state) % 40);
                let part: Vec<u8> = part.collect();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

#[test]
fn damaged_files_are_read_or_refused_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let fixture = |name: &str| {
        let numpy = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/numpy");
        fs::read(numpy.join(name)).unwrap()
    };
    let mut npy = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let header = "{'descr': '<f8', 'fortran_order': True, 'shape': (3, 5), }";
    npy.extend(format!("{header:<117}\n").bytes());
    npy.extend([7; 120]);
    let seeds = [
        npy,
        fixture("compressed.npz"),
        fixture("stored.npz"),
        b"a,b\n1,2.5\n-3e2,4\n".to_vec(),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let (mut read, mut refused) = (0, 0);
    for round in 0..12_000 {
        let bytes = mutated(&seeds[round % seeds.len()], &mut state);
        fs::write(&path, &bytes).unwrap();
        let results = [
            read_npy(&path).map(|_| ()),
            read_npz(&path).map(|_| ()),
            read_csv(&path).and_then(|table| table.all()).map(|_| ()),
        ];
        for result in results {
            match result {
                Ok(()) => read += 1,
                Err(error) => {
                    refused += 1;
                    let message = error.to_string();
                    assert!(
                        message.contains("damaged") && message.len() < 2000,
                        "{message}"
                    );
                }
            }
        }
    }
    assert!(read > 1000 && refused > 1000, "{read} {refused}");
    let largest = LARGEST.load(Relaxed);
    assert!(largest < 4 << 20, "{largest} bytes were asked for at once");
}
