//! The instruction sets that jobs are compiled for, and the choice of one.

use std::{env, fmt, str::FromStr, sync::OnceLock};

/// The environment variable that caps the instruction set of a process.
pub const VARIABLE: &str = "TRADE_SIMD";

/// A set of vector instructions, in the order of their width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// What the build was made for: SSE2 on x86-64, NEON on `AArch64`.
    Portable,
    /// AVX2 with fused multiply-adds.
    Avx2,
    /// AVX-512 (F, BW, DQ and VL).
    Avx512,
}

impl InstructionSet {
    /// All sets, the widest first.
    const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// The sets that this machine has, the widest first, whatever the cap.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|set| set.is_there())
    }

    /// The set in use: the widest that the machine has and that [`VARIABLE`] allows. It is chosen
    /// once in a process. A value of the variable that names no set caps nothing, see
    /// [`check_variable`].
    pub fn chosen() -> Self {
        static CHOSEN: OnceLock<InstructionSet> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let most = cap().ok().flatten().unwrap_or(Self::Avx512);
            let allowed = Self::available().find(|set| *set <= most);
            allowed.unwrap_or(Self::Portable)
        })
    }

    fn is_there(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        let (avx2, avx512) = (
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2"),
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl"),
        );
        #[cfg(not(target_arch = "x86_64"))]
        let (avx2, avx512) = (false, false);
        match self {
            Self::Portable => true,
            Self::Avx2 => avx2,
            Self::Avx512 => avx2 && avx512,
        }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

impl FromStr for InstructionSet {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|set| set.to_string() == name);
        named.ok_or_else(|| format!("`{name}` is not an instruction set"))
    }
}

fn cap() -> Result<Option<InstructionSet>, String> {
    match env::var_os(VARIABLE) {
        None => Ok(None),
        Some(name) => name.to_string_lossy().parse().map(Some),
    }
}

/// Checks that [`VARIABLE`], if it is set, names an instruction set.
///
/// # Errors
/// A sentence with the value found and those that are expected.
pub fn check_variable() -> Result<(), String> {
    let explain = |error| {
        format!("{VARIABLE}: {error}; set it to avx512, avx2 or portable, or do not set it")
    };
    cap().map(|_| ()).map_err(explain)
}

/// The proof that a machine has some instructions and that they may be used: a value exists only
/// where they were detected.
macro_rules! token {
    ($(#[$doc:meta])* $name:ident, $set:ident) => {
        $(#[$doc])*
        #[cfg(target_arch = "x86_64")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(());

        #[cfg(target_arch = "x86_64")]
        impl $name {
            /// The proof, on a machine that has the instructions, whatever the cap.
            pub fn detect() -> Option<Self> {
                InstructionSet::$set.is_there().then_some(Self(()))
            }
        }
    };
}

token! {
    /// The instructions of [`InstructionSet::Avx512`] are there.
    Avx512, Avx512
}
token! {
    /// The instructions of [`InstructionSet::Avx2`] are there.
    Avx2, Avx2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for set in InstructionSet::ALL {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        assert!("sse9".parse::<InstructionSet>().is_err());
    }

    #[test]
    fn the_portable_set_is_everywhere_and_the_last() {
        let available: Vec<_> = InstructionSet::available().collect();
        assert_eq!(available.last(), Some(&InstructionSet::Portable));
        assert!(available.is_sorted_by(|a, b| a > b));
        assert!(available.contains(&InstructionSet::chosen()));
    }
}
