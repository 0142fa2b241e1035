//! Every kept input is read without panic, and inputs depend on seed and number alone.

use std::fs;

use trade_fuzz::{Input, Mutator, TARGETS, files, folder};

#[test]
fn kept_inputs_are_read_or_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("input");
    for target in &TARGETS {
        let corpus = files(&folder("corpus", target.name)).unwrap();
        assert!(!corpus.is_empty(), "{}", target.name);
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            (target.read)(Input { bytes, path: &path })
        };
        for (file, bytes) in &corpus {
            assert!(read(bytes), "{} is refused", file.display());
        }
        for (_, bytes) in files(&folder("found", target.name)).unwrap() {
            read(&bytes);
        }
    }
}

#[test]
fn inputs_differ_and_are_reproducible() {
    for target in &TARGETS {
        let corpus = || files(&folder("corpus", target.name)).unwrap();
        let mutator = || Mutator::new(corpus().into_iter().map(|(_, b)| b), target.format);
        let (one, other) = (mutator(), mutator());
        let mut inputs = Vec::new();
        for index in 0..500 {
            let input = one.input(1, index);
            assert_eq!(input, other.input(1, index), "{}", target.name);
            inputs.push(input);
        }
        inputs.sort();
        inputs.dedup();
        assert!(inputs.len() > 400, "{}: {}", target.name, inputs.len());
    }
}
