//! JSON as editors and shells write it.

use std::{collections::BTreeSet, fmt, fs, path::Path};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{Context, Error, Result};

/// Reads the text of a JSON file: UTF-8 with or without a byte order mark, or UTF-16 with one, as
/// PowerShell writes it.
///
/// # Errors
/// If the file cannot be read, or is in another encoding.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = fs::read(path)?;
    let wide = |order: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2).map(|b| order([b[0], b[1]]));
        String::from_utf16(&units.collect::<Vec<u16>>()).ok()
    };
    let text = match bytes[..] {
        [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, ref rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.clone()).ok(),
    };
    text.context("is neither UTF-8 nor UTF-16 with a byte order mark; save it as UTF-8")
}

/// Refuses an object that has the same key twice, of which JSON readers would keep one in silence.
///
/// # Errors
/// Names the key and its line, or what is wrong with the JSON.
pub(crate) fn unique_keys(text: &str) -> Result<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    UniqueKeys
        .deserialize(&mut reader)
        .map_err(|error| Error::refused(error.to_string()))
}

/// Walks a value and keeps nothing but the keys of the object it is in.
#[derive(Clone, Copy)]
struct UniqueKeys;

impl<'de> DeserializeSeed<'de> for UniqueKeys {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Accepts a scalar and forgets it.
macro_rules! forget {
    ($($visit:ident: $scalar:ty),*) => {
        $(fn $visit<E>(self, _: $scalar) -> Result<(), E> {
            Ok(())
        })*
    };
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    forget!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                let reason = format!("the key `{key}` stands twice in one object; remove one");
                return Err(A::Error::custom(reason));
            }
            keys.insert(key);
            entries.next_value_seed(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_of_editors_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        let text = "{ \"β\": 1 }";
        let units = || text.encode_utf16();
        let wide = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
            mark.into_iter().chain(units().flat_map(bytes)).collect()
        };
        let files: [Vec<u8>; 4] = [
            text.into(),
            [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat(),
            wide([0xFF, 0xFE], u16::to_le_bytes),
            wide([0xFE, 0xFF], u16::to_be_bytes),
        ];
        for bytes in files {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read_text(&path).unwrap(), text);
        }
        fs::write(&path, [b'{', 0xE9, b'}']).unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn a_key_that_stands_twice_is_named() {
        assert!(unique_keys(r#"{ "a": { "b": [1, null] }, "b": "a" }"#).is_ok());
        let error = unique_keys("{ \"a\": [{ \"T\": 1,\n \"T\": 2 }] }").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`T`") && error.contains("line 2"), "{error}");
    }
}
