//! JSON as editors and shells write it.

use std::{collections::BTreeSet, fmt, fs, path::Path};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use trade_core::file::text;

use crate::error::{Error, Result};

/// Reads the text of a JSON file: UTF-8 with or without a byte order mark, or UTF-16 with one, as
/// PowerShell writes it.
///
/// # Errors
/// If the file cannot be read, or is in another encoding.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = fs::read(path)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        crate::error::bail!("is empty; expected JSON");
    }
    text(bytes).map_err(Error::refused)
}

/// What a reader of JSON says, without the names that types have in a program.
pub(crate) fn in_words(reason: &serde_json::Error) -> String {
    let words = [
        ("expected usize", "expected a whole number of at least 0"),
        ("expected u64", "expected a whole number of at least 0"),
        ("expected f64", "expected a number"),
        ("expected f32", "expected a number"),
        (
            "trailing characters",
            "there are more entries than expected",
        ),
        ("expected a sequence", "expected a list"),
        ("invalid type: sequence", "invalid type: list"),
        ("invalid type: map", "invalid type: object"),
        ("expected a map", "expected an object"),
    ];
    let mut text = reason.to_string();
    for (name, meaning) in words {
        text = text.replace(name, meaning);
    }
    // `struct Draft` or `struct Draft with 11 elements`
    if let Some(at) = text.find("expected struct ") {
        let end = text[at..]
            .find(" at line")
            .map_or(text.len(), |end| at + end);
        text.replace_range(at..end, "expected an object with named fields");
    }
    text
}

/// Refuses an object that has the same key twice, of which JSON readers would keep one in silence.
///
/// # Errors
/// Names the key and its line, or what is wrong with the JSON.
pub(crate) fn unique_keys(text: &str) -> Result<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    UniqueKeys.deserialize(&mut reader).map_err(|error| {
        let hint = foreign(text, &error).map_or(String::new(), |hint| format!("; {hint}"));
        Error::refused(format!("{error}{hint}"))
    })
}

/// What other languages have where JSON has not, at the place of an error.
fn foreign(text: &str, error: &serde_json::Error) -> Option<&'static str> {
    let line = text.lines().nth(error.line().checked_sub(1)?)?;
    // The column is that of the last byte that was read.
    let rest = line.get(error.column().checked_sub(1)?..)?;
    [
        ("/", "JSON has no comments, so remove this one"),
        ("#", "JSON has no comments, so remove this one"),
        ("'", "JSON puts texts and keys in double quotes"),
        ("True", "JSON writes `true`, `false` and `null`"),
        ("False", "JSON writes `true`, `false` and `null`"),
        ("None", "JSON writes `true`, `false` and `null`"),
        ("NaN", "JSON has no number for it, so write a finite one"),
        ("Inf", "JSON has no number for it, so write a finite one"),
        ("-Inf", "JSON has no number for it, so write a finite one"),
        (".", "JSON writes a digit before the point"),
        ("+", "JSON writes numbers without `+`"),
    ]
    .into_iter()
    .find_map(|(start, hint)| rest.starts_with(start).then_some(hint))
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
        for other in [&[b'{', 0xE9, b'}'][..], &[b'{', 0, b'}', 0]] {
            fs::write(&path, other).unwrap();
            assert!(read_text(&path).unwrap_err().to_string().contains("UTF-8"));
        }
        fs::write(&path, "\n").unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn messages_have_no_names_of_types() {
        let said = |text: &str| {
            let error = serde_json::from_str::<Vec<(usize, [f64; 2])>>(text).unwrap_err();
            in_words(&error)
        };
        for (text, says) in [
            ("[[-1, [1, 2]]]", "expected a whole number"),
            ("[[1, [1, \"2\"]]]", "expected a number"),
            ("[[1, [1, 2, 3]]]", "more entries than expected"),
            ("{}", "expected a list"),
        ] {
            assert!(said(text).contains(says), "{}", said(text));
        }
    }

    #[test]
    fn what_is_no_json_is_said_in_words() {
        for (text, says) in [
            ("// temperatures\n{}", "no comments"),
            ("{ \"a\": 1, # the first\n \"b\": 2 }", "no comments"),
            ("{ \"a\": 1 /* one */ }", "no comments"),
            ("{ 'a': 1 }", "double quotes"),
            ("{ \"β\": 'x' }", "double quotes"),
            ("{ \"a\": [True] }", "`true`"),
            ("{ \"a\": None }", "`null`"),
            ("{ \"a\": NaN }", "finite"),
            ("{ \"a\": Infinity }", "finite"),
            ("{ \"a\": .5 }", "digit"),
            ("{ \"a\": [1, 2,] }", "trailing comma"),
        ] {
            let error = unique_keys(text).unwrap_err().to_string();
            assert!(
                error.contains(says) && error.contains("line"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_named() {
        assert!(unique_keys(r#"{ "a": { "b": [1, null] }, "b": "a" }"#).is_ok());
        let error = unique_keys("{ \"a\": [{ \"T\": 1,\n \"T\": 2 }] }").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`T`") && error.contains("line 2"), "{error}");
    }
}
