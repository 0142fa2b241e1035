//! Conditions in words: neighbours are joined to stretches of the range.

/// A stretch of neighbouring conditions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place<'a> {
    /// One condition alone.
    At(&'a [f64]),
    /// All conditions from one to another.
    Between(&'a [f64], &'a [f64]),
}

/// The stretches of marked conditions, in the order of the list.
pub(super) fn stretches<'a>(marks: &[(&'a [f64], bool)]) -> Vec<Place<'a>> {
    let joined = marks.chunk_by(|a, b| a.1 == b.1);
    let marked = joined.filter(|run| run[0].1);
    let place = |run: &[(&'a [f64], bool)]| match run {
        [(one, _)] => Place::At(one),
        _ => Place::Between(run[0].0, run[run.len() - 1].0),
    };
    marked.map(place).collect()
}

/// A number with four significant digits, without zeros at its end.
pub(crate) fn number(value: f64) -> String {
    significant(value, 4)
}

/// A measure with two significant digits, as much as a sentence needs; with three next to 1.
pub(crate) fn short(value: f64) -> String {
    significant(value, if (0.95..1.0).contains(&value) { 3 } else { 2 })
}

fn significant(value: f64, digits: i32) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let decimals = if value == 0.0 {
        0
    } else {
        (digits - 1 - value.abs().log10().floor() as i32).clamp(0, 12) as usize
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

/// `T = 0.5`; of several control parameters `(T = 0.5, a = 1)`.
pub(crate) fn named(controls: &[String], condition: &[f64]) -> String {
    let pairs = controls.iter().zip(condition);
    let pairs: Vec<String> = pairs
        .map(|(name, c)| format!("{name} = {}", number(*c)))
        .collect();
    match &pairs[..] {
        [one] => one.clone(),
        _ => format!("({})", pairs.join(", ")),
    }
}

/// The marked conditions in words. In a `line` neighbours are joined; otherwise they are counted,
/// and named if they are few.
pub(super) fn places(controls: &[String], marks: &[(&[f64], bool)], line: bool) -> String {
    let marked: Vec<&[f64]> = marks.iter().filter(|m| m.1).map(|m| m.0).collect();
    if !line {
        return match &marked[..] {
            all if all.len() == marks.len() => "at all measured conditions".into(),
            few if few.len() <= 3 => {
                let few: Vec<String> = few.iter().map(|c| named(controls, c)).collect();
                format!("at {}", few.join(" and "))
            }
            many => format!("at {} of {} conditions", many.len(), marks.len()),
        };
    }
    let word = |place: Place| match (place, controls) {
        (Place::At(one), _) => format!("at {}", named(controls, one)),
        (Place::Between(a, b), [name]) => {
            format!("for {name} from {} to {}", number(a[0]), number(b[0]))
        }
        (Place::Between(a, b), _) => {
            format!("from {} to {}", named(controls, a), named(controls, b))
        }
    };
    let words: Vec<String> = stretches(marks).into_iter().map(word).collect();
    words.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined() {
        let c: Vec<[f64; 1]> = [0.1, 0.2, 0.3, 0.4, 0.5].map(|c| [c]).to_vec();
        let marks =
            |fit: [bool; 5]| -> Vec<(&[f64], bool)> { c.iter().map(|c| &c[..]).zip(fit).collect() };
        let names = ["T".to_string()];
        let said = |fit| places(&names, &marks(fit), true);
        assert_eq!(said([true; 5]), "for T from 0.1 to 0.5");
        assert_eq!(
            said([true, true, false, true, false]),
            "for T from 0.1 to 0.2 and at T = 0.4"
        );
    }

    #[test]
    fn several_control_parameters_are_named_or_counted() {
        let names = ["T".to_string(), "a".into()];
        let c: Vec<[f64; 2]> = (0..5).map(|i| [f64::from(i), 0.5]).collect();
        let marks = |fit: &dyn Fn(usize) -> bool| -> Vec<(&[f64], bool)> {
            c.iter()
                .enumerate()
                .map(|(i, c)| (&c[..], fit(i)))
                .collect()
        };
        let said = |fit: &dyn Fn(usize) -> bool, line| places(&names, &marks(fit), line);
        assert_eq!(said(&|_| true, false), "at all measured conditions");
        assert_eq!(said(&|i| i == 3, false), "at (T = 3, a = 0.5)");
        assert_eq!(said(&|i| i > 0, false), "at 4 of 5 conditions");
        assert_eq!(
            said(&|i| i < 2, true),
            "from (T = 0, a = 0.5) to (T = 1, a = 0.5)"
        );
    }

    #[test]
    fn numbers_have_four_digits() {
        let cases = [
            (0.477_777_8, "0.4778"),
            (1.0, "1"),
            (300.0, "300"),
            (-0.25, "-0.25"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(0.000_123_45), "0.0001234");
        assert_eq!(number(12_345.6), "12346");
        assert_eq!(
            (number(0.0), number(f64::INFINITY)),
            ("0".into(), "inf".into())
        );
    }
}
