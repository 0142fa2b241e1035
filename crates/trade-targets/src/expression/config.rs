//! The settings of an expression.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData, path::PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
};
use trade_core::{PowerFamily, Support};

/// The settings of a target that is stated as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpressionConfig {
    /// The variables and their lengths. The state is their concatenation in the order written; a
    /// variable of length 1 is a plain number.
    pub variables: Ordered<usize>,
    /// The names of the control parameters, in the order of the entries of a condition.
    pub controls: Vec<String>,
    /// Numbers, vectors and matrices by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub constants: BTreeMap<String, Constant>,
    /// Arrays in files by name: `file.npy`, `file.npz:key` or `file.csv:column`; a relative path
    /// starts at the config's folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, PathBuf>,
    /// Parts of the expression by name; each may use those before it.
    #[serde(default, rename = "let", skip_serializing_if = "Ordered::is_empty")]
    pub parts: Ordered<String>,
    /// The numbers that a variable may take: one entry for all of the variable, or a list. A variable
    /// that is not named here may be every number.
    #[serde(
        default,
        deserialize_with = "supports",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub support: BTreeMap<String, Supports>,
    /// The values of a control parameter at which there is a density, `[low, high]` with both ends;
    /// `null` is no end. By default every number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub domain: BTreeMap<String, [Option<f64>; 2]>,
    /// Says that the log density is `base(x)/T` or `beta*base(x)`. By default this is found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_family: Option<PowerFamily>,
    /// `log q(x|c)`, up to a constant.
    pub log_density: String,
}

impl ExpressionConfig {
    /// The files of the settings, for a caller that resolves relative paths.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.data.values_mut()
    }
}

/// A constant of an expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a number, a list of numbers, or a list of rows of numbers"
)]
pub enum Constant {
    /// A number.
    Number(f64),
    /// A vector.
    Vector(Vec<f64>),
    /// A matrix, row by row.
    Matrix(Vec<Vec<f64>>),
}

/// The support of a variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected \"real\", \"positive\", \"angle\" or {\"interval\": {\"low\": …, \
                 \"high\": …}}, or a list of these"
)]
pub enum Supports {
    /// The same for all entries.
    All(Support),
    /// One for each entry.
    Each(Vec<Support>),
}

/// A JSON object whose fields keep the order in which they are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Ordered<T> {
    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// Reads the supports by the names of variables.
fn supports<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Supports>, D::Error> {
    let fields = Ordered::deserialize(deserializer)?;
    Ok(fields.0.into_iter().collect())
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = Ordered<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object with a field for each name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
        let mut fields: Vec<(String, T)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, T>()? {
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format!("the name `{name}` stands twice")));
            }
            fields.push((name, value));
        }
        Ok(Ordered(fields))
    }
}

impl<T: JsonSchema> JsonSchema for Ordered<T> {
    fn schema_name() -> Cow<'static, str> {
        BTreeMap::<String, T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}
