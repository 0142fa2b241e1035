//! Room for numbers that is used again, so that a step neither asks the system for memory nor clears it.

use std::{
    collections::HashMap,
    fmt,
    ops::{Deref, DerefMut},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use super::element::Element;

/// Numbers that are kept at most while nobody uses them: 256 MiB in single precision.
const MOST_KEPT: usize = 1 << 26;

/// Numbers in memory that goes back to a pool. A fresh one holds what its last owner left: whoever asks
/// for room writes all of it before reading.
#[derive(Default)]
pub(crate) struct Field<T: Element>(Vec<T>);

impl<T: Element> Field<T> {
    /// Makes room for so many numbers, whose values are arbitrary.
    pub(super) fn room(&mut self, length: usize) {
        if self.len() != length {
            let found = T::pool().take(length);
            let numbers = found.unwrap_or_else(|| vec![T::default(); length]);
            T::pool().give(std::mem::replace(&mut self.0, numbers));
        }
    }

    /// Makes room for so many zeros.
    pub(super) fn clear(&mut self, length: usize) {
        self.room(length);
        self.fill(T::default());
    }

    /// A field of so many numbers, whose values are arbitrary.
    pub(super) fn of(length: usize) -> Self {
        let mut field = Self::default();
        field.room(length);
        field
    }
}

impl<T: Element> Deref for Field<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Element> DerefMut for Field<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Element> Drop for Field<T> {
    fn drop(&mut self) {
        T::pool().give(std::mem::take(&mut self.0));
    }
}

impl<T: Element> fmt::Debug for Field<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Field({} numbers)", self.len())
    }
}

/// Memory that is kept for fields, by length.
pub(super) struct Pool<T>(LazyLock<Mutex<Kept<T>>>);

struct Kept<T> {
    by_length: HashMap<usize, Vec<Vec<T>>>,
    numbers: usize,
}

impl<T> Pool<T> {
    pub(super) const fn new() -> Self {
        Self(LazyLock::new(|| {
            Mutex::new(Kept {
                by_length: HashMap::new(),
                numbers: 0,
            })
        }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        // Whatever panicked elsewhere, the lists hold whole vectors.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, length: usize) -> Option<Vec<T>> {
        let mut kept = self.kept();
        let found = kept.by_length.get_mut(&length)?.pop()?;
        kept.numbers -= length;
        Some(found)
    }

    fn give(&self, numbers: Vec<T>) {
        let length = numbers.len();
        if length == 0 {
            return;
        }
        let mut kept = self.kept();
        if kept.numbers + length <= MOST_KEPT {
            kept.numbers += length;
            kept.by_length.entry(length).or_default().push(numbers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_kept_by_length() {
        // A length that no other test asks for.
        let length = 12_347;
        let mut field = Field::<f64>::of(length);
        field.fill(3.0);
        let place = field.as_ptr();
        drop(field);
        assert_eq!(Field::<f64>::of(length + 1).len(), length + 1);
        let mut field = Field::<f64>::of(length);
        assert_eq!(field.as_ptr(), place);
        field.clear(length);
        assert!(field.iter().all(|v| *v == 0.0));
    }

    #[test]
    fn no_more_is_kept_than_the_limit() {
        static POOL: Pool<u8> = Pool::new();
        POOL.give(vec![0; MOST_KEPT - 5]);
        POOL.give(vec![0; 6]);
        assert!(POOL.take(6).is_none());
        POOL.give(vec![0; 5]);
        assert!(POOL.take(5).is_some() && POOL.take(MOST_KEPT - 5).is_some());
        POOL.give(vec![0; 6]);
        assert!(POOL.take(6).is_some());
    }
}
