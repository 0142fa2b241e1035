//! Inputs from kept files: parts of them changed, moved, doubled, cut off or mixed.

use std::collections::BTreeSet;

use crate::{format::Format, random::Random};

/// The longest input, in bytes.
const LONGEST: usize = 1 << 18;

/// What readers of numbers trip over.
const EXTREMES: [&str; 24] = [
    "0",
    "-0",
    "-1",
    "1",
    "2",
    "0.5",
    "-1.5",
    "1e-300",
    "1e300",
    "1e308",
    "-1e308",
    "1e400",
    "NaN",
    "nan",
    "inf",
    "-inf",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999",
];

/// What readers of text trip over.
const PIECES: [&[u8]; 24] = [
    b"",
    b" ",
    b"\n",
    b"\r\n",
    b"\t",
    b"\0",
    b"\"",
    b"'",
    b"\\",
    b"(",
    b")",
    b"[",
    b"]",
    b"{",
    b"}",
    b"<",
    b">",
    b",",
    b":",
    b"/",
    b"&#0;",
    b"\xff",
    b"\xc3\xa9",
    b"\xef\xbb\xbf",
];

/// Makes inputs from a corpus.
pub struct Mutator {
    seeds: Vec<Box<[u8]>>,
    /// The words of all seeds, with extremes and pieces among them.
    words: Vec<Box<[u8]>>,
    format: Format,
}

/// The bytes that make up a word or a number.
fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'+')
}

impl Mutator {
    /// A mutator of these files, which must not be empty.
    pub fn new(seeds: impl IntoIterator<Item = Vec<u8>>, format: Format) -> Self {
        let seeds: Vec<Box<[u8]>> = seeds.into_iter().map(Vec::into_boxed_slice).collect();
        let words = seeds.iter().flat_map(|seed| seed.split(|b| !in_word(*b)));
        let short = words.filter(|word| (1..40).contains(&word.len()));
        let mut words: BTreeSet<Box<[u8]>> = short.map(Into::into).collect();
        words.extend(EXTREMES.iter().map(|word| word.as_bytes().into()));
        words.extend(PIECES.iter().map(|&piece| piece.into()));
        Self {
            seeds,
            words: words.into_iter().collect(),
            format,
        }
    }

    /// Input number `index` of a seed.
    pub fn input(&self, seed: u64, index: u64) -> Vec<u8> {
        let mut random = Random::new(seed, index);
        let mut bytes = random.choose(&self.seeds).to_vec();
        // Half of the inputs keep their structure: a few words or numbers are other ones.
        let gentle = random.one_in(2);
        let framed = random.one_in(2) && self.format != Format::Npz;
        for _ in 0..=random.below(if gentle { 2 } else { 4 }) {
            let change = |bytes: &mut Vec<u8>, random: &mut Random| {
                if gentle {
                    self.other_word(bytes, random);
                } else {
                    self.change(bytes, random);
                }
            };
            if framed {
                self.format.framed(&mut bytes, &mut random, change);
            } else {
                change(&mut bytes, &mut random);
            }
        }
        // An archive is closed once, and only around an array.
        if self.format == Format::Npz && !bytes.starts_with(b"PK") {
            self.format.framed(&mut bytes, &mut random, |_, _| ());
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn change(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(bytes.len() + 1);
        let length = match random.below(8) {
            0 => random.below(bytes.len() + 1),
            1 | 2 => random.below(200),
            _ => 1 + random.below(12),
        };
        let end = (at + length).min(bytes.len());
        match random.below(32) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => bytes[at] = random.next() as u8,
            3 | 4 => drop(bytes.drain(at..end)),
            5 | 6 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            7 => bytes.truncate(at),
            // The end of another file, or a part of it.
            8 | 9 => {
                let other = random.choose(&self.seeds);
                let from = random.below(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
            10 | 11 => {
                let other = random.choose(&self.seeds);
                let from = random.below(other.len() + 1);
                let part = &other[from..(from + length).min(other.len())];
                bytes.splice(at..end, part.iter().copied());
            }
            12 | 13 => integer(bytes, at, random),
            // The part moves elsewhere.
            14 => {
                let part: Vec<u8> = bytes.drain(at..end).collect();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
            15 if random.one_in(20) => {
                let copies = 1 << random.below(12);
                let part = bytes[at..end.min(at + 8)].repeat(copies);
                bytes.splice(at..at, part);
            }
            16 | 17 => {
                let word = random.choose(&self.words);
                bytes.splice(at..at, word.iter().copied());
            }
            _ => self.other_word(bytes, random),
        }
    }

    /// Replaces a number by an extreme, or a word by another one, of this input or
    /// of any.
    fn other_word(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(bytes.len() + 1);
        match random.below(8) {
            0..=2 => {
                let word = EXTREMES[random.below(EXTREMES.len())].as_bytes();
                replace(bytes, at, true, word);
            }
            3 | 4 => {
                let word = word_at(bytes, random.below(bytes.len() + 1), false);
                let word = bytes[word].to_vec();
                replace(bytes, at, false, &word);
            }
            5 => integer(bytes, at, random),
            _ => replace(bytes, at, false, random.choose(&self.words)),
        }
    }
}

/// Puts an extreme integer of two, four or eight bytes over what is there.
fn integer(bytes: &mut [u8], at: usize, random: &mut Random) {
    let width = [2, 4, 4, 8][random.below(4)];
    let at = if random.one_in(3) { at } else { at & !3 };
    let value = match random.below(8) {
        0 => 0,
        1 => 1,
        2 => u64::MAX,
        3 => i64::MAX as u64,
        4 => u64::from(u32::MAX),
        5 => i32::MAX as u64,
        6 => random.below(256) as u64,
        _ => 1 << random.below(64),
    };
    if let Some(place) = bytes.get_mut(at..at + width) {
        place.copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

/// The word or number around a place, or the next one within some bytes; empty if there is none.
fn word_at(bytes: &[u8], at: usize, number: bool) -> std::ops::Range<usize> {
    let within = &bytes[at..bytes.len().min(at + 80)];
    let starts = |b: &u8| in_word(*b) && (!number || b.is_ascii_digit());
    let Some(start) = within.iter().position(starts) else {
        return at..at;
    };
    let start = at + start;
    let before = bytes[..start].iter().rev().take_while(|b| in_word(**b));
    let after = bytes[start..].iter().take_while(|b| in_word(**b));
    let (before, after) = (before.count(), after.count());
    start - before..start + after
}

/// Replaces a word by another one.
fn replace(bytes: &mut Vec<u8>, at: usize, number: bool, word: &[u8]) {
    let range = word_at(bytes, at, number);
    bytes.splice(range, word.iter().copied());
}
