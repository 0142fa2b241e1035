//! The trainable numbers of a model, by name.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Display,
    path::Path,
};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use safetensors::{SafeTensors, tensor::TensorView};

use crate::{
    error::{Error, Result},
    file::write_atomic,
};

/// The shape and the values of an array.
pub type Array = (Vec<usize>, Vec<f32>);

/// Arrays by name, in single precision.
pub type Arrays = BTreeMap<String, Array>;

/// The values of all parameters of a module, under the path of the field that holds each.
pub fn parameters<B: Backend, M: Module<B>>(module: &M) -> Arrays {
    struct Collect {
        path: Vec<String>,
        arrays: Arrays,
    }
    impl<B: Backend> ModuleVisitor<B> for Collect {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_string());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let data = param.val().into_data().convert_dtype(DType::F32);
            let shape = data.shape.to_vec();
            let values = data.into_vec().unwrap_or_default();
            self.arrays.insert(self.path.join("."), (shape, values));
        }
    }
    let mut collect = Collect {
        path: Vec::new(),
        arrays: Arrays::new(),
    };
    module.visit(&mut collect);
    collect.arrays
}

/// What is known of a parameter without its values.
pub(crate) struct Description {
    /// The path of the field that holds it.
    pub(crate) name: String,
    /// The number of its entries.
    pub(crate) length: usize,
    /// Its precision.
    pub(crate) precision: DType,
}

/// All parameters of a module in its own order, without their values.
pub(crate) fn describe<B: Backend, M: Module<B>>(module: &M) -> Vec<Description> {
    struct Describe {
        path: Vec<String>,
        parameters: Vec<Description>,
    }
    impl<B: Backend> ModuleVisitor<B> for Describe {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_string());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let tensor = param.val();
            self.parameters.push(Description {
                name: self.path.join("."),
                length: tensor.shape().num_elements(),
                precision: tensor.dtype(),
            });
        }
    }
    let mut describe = Describe {
        path: Vec::new(),
        parameters: Vec::new(),
    };
    module.visit(&mut describe);
    describe.parameters
}

/// The precision of a module's parameters, which is that of the first one; single precision for a
/// module without parameters.
pub fn precision<B: Backend, M: Module<B>>(module: &M) -> DType {
    let first = describe(module).into_iter().next();
    first.map_or(DType::F32, |parameter| parameter.precision)
}

/// A module with its parameters set from arrays.
///
/// # Errors
/// If an array is missing or has the wrong shape; `path` names the file in the message.
pub fn with_parameters<B: Backend, M: Module<B>>(
    module: M,
    arrays: Arrays,
    path: &Path,
) -> Result<M> {
    let (module, carried) = carry(module, arrays);
    if let Some(Misfit { name, here, there }) = carried.misfits.first() {
        let found = there
            .as_ref()
            .map_or("nothing".into(), |shape| format!("shape {shape:?}"));
        let problem = format!("parameter `{name}`: expected shape {here:?}, found {found}");
        return Err(Error::file(path, problem));
    }
    match carried.unused.first() {
        Some(extra) => {
            let problem = format!("parameter `{extra}` is not part of the model");
            Err(Error::file(path, problem))
        }
        None => Ok(module),
    }
}

/// A parameter that keeps its own values because the arrays have none of its name and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The path of the field that holds it.
    pub name: String,
    /// Its shape.
    pub here: Vec<usize>,
    /// The shape of the array of this name, if there is one.
    pub there: Option<Vec<usize>>,
}

/// What [`carry`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// The number of parameters that were set.
    pub taken: usize,
    /// The parameters that were not.
    pub misfits: Vec<Misfit>,
    /// The names of arrays that belong to no parameter.
    pub unused: Vec<String>,
}

impl Carried {
    /// What was carried, and the parameters that were not, in a sentence; `source` names where the
    /// arrays come from. Of many that were not for the same reason it names the first ones.
    pub fn sentence(&self, source: &str) -> String {
        let all = self.taken + self.misfits.len();
        let mut parts = vec![format!(
            "{} of {all} parameters start from {source}",
            self.taken
        )];
        let (others, new): (Vec<&Misfit>, Vec<&Misfit>) =
            (self.misfits.iter()).partition(|misfit| misfit.there.is_some());
        let others = others.into_iter().map(|Misfit { name, here, there }| {
            let there = there.as_deref().unwrap_or_default();
            format!("`{name}` has the shape {there:?} there and {here:?} here")
        });
        parts.extend(first_ones(others));
        let new = new.into_iter();
        parts.extend(first_ones(
            new.map(|new| format!("`{}` does not exist there", new.name)),
        ));
        let unused = self.unused.iter();
        parts.extend(first_ones(
            unused.map(|name| format!("`{name}` of it has no place here")),
        ));
        parts.join("; ")
    }
}

/// The first of what many parameters share, and how many more there are.
fn first_ones(sentences: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    const NAMED: usize = 3;
    let more = sentences.len().saturating_sub(NAMED);
    let mut named: Vec<String> = sentences.take(NAMED).collect();
    if more > 0 {
        named.push(format!("and {more} more like that"));
    }
    named
}

/// A module with those of its parameters set that arrays have under the same name and in the same
/// shape; the others keep their values.
pub fn carry<B: Backend, M: Module<B>>(module: M, arrays: Arrays) -> (M, Carried) {
    struct Replace {
        path: Vec<String>,
        arrays: Arrays,
        carried: Carried,
    }
    impl<B: Backend> ModuleMapper<B> for Replace {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_string());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let name = self.path.join(".");
            let here = param.lazy_shape().to_vec();
            match self.arrays.remove(&name) {
                Some((shape, values)) if shape == here => {
                    self.carried.taken += 1;
                    param.map(|tensor| {
                        let device = tensor.device();
                        let data = TensorData::new(values, shape);
                        Tensor::from_data(data, (&device, tensor.dtype())).require_grad()
                    })
                }
                found => {
                    let there = found.map(|(shape, _)| shape);
                    self.carried.misfits.push(Misfit { name, here, there });
                    param
                }
            }
        }
    }
    let mut replace = Replace {
        path: Vec::new(),
        arrays,
        carried: Carried::default(),
    };
    let module = module.map(&mut replace);
    let Replace {
        arrays,
        mut carried,
        ..
    } = replace;
    carried.unused = arrays.into_keys().collect();
    (module, carried)
}

/// Writes arrays as safetensors.
///
/// # Errors
/// If the file cannot be written.
pub fn write_arrays(arrays: &Arrays, path: &Path) -> Result<()> {
    let named = arrays.iter().map(|(name, array)| (name.clone(), array));
    write_annotated(named, None, path)
}

/// Writes arrays as safetensors with text beside them.
pub(crate) fn write_annotated<'a>(
    arrays: impl Iterator<Item = (String, &'a Array)>,
    text: Option<HashMap<String, String>>,
    path: &Path,
) -> Result<()> {
    let bytes: Vec<(String, &[usize], Vec<u8>)> = arrays
        .map(|(name, (shape, values))| {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, shape.as_slice(), bytes)
        })
        .collect();
    let failed = |error: safetensors::SafeTensorError| Error::file(path, error.to_string());
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| {
            let view = TensorView::new(safetensors::Dtype::F32, shape.to_vec(), bytes);
            Ok((name.as_str(), view.map_err(failed)?))
        })
        .collect::<Result<Vec<_>>>()?;
    write_atomic(path, safetensors::serialize(views, text).map_err(failed)?)
}

/// Reads what [`write_arrays`] wrote.
///
/// # Errors
/// If the file cannot be read, is cut short or corrupt, or holds other types than f32.
pub fn read_arrays(path: &Path) -> Result<Arrays> {
    let corrupt = |reason: &dyn Display| {
        Error::file(path, format!("not a complete safetensors file ({reason})"))
    };
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
    Ok(parse_annotated(&bytes, &corrupt)?.0)
}

/// Parses what [`write_annotated`] wrote; `corrupt` makes the error of a file that is something else.
pub(crate) fn parse_annotated(
    bytes: &[u8],
    corrupt: &dyn Fn(&dyn Display) -> Error,
) -> Result<(Arrays, HashMap<String, String>)> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| corrupt(&error))?;
    let text = header.metadata().clone().unwrap_or_default();
    let file = SafeTensors::deserialize(bytes).map_err(|error| corrupt(&error))?;
    let arrays = file.iter().map(|(name, view)| {
        if view.dtype() != safetensors::Dtype::F32 {
            let reason = format!("`{name}` has type {:?}, expected F32", view.dtype());
            return Err(corrupt(&reason));
        }
        let values = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        Ok((name.to_string(), (view.shape().to_vec(), values)))
    });
    Ok((arrays.collect::<Result<_>>()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_parameters_that_do_not_fit_the_first_are_named() {
        let misfit = |i: usize, there| Misfit {
            name: format!("layers.{i}"),
            here: vec![2],
            there,
        };
        let mut misfits: Vec<Misfit> = (0..5).map(|i| misfit(i, None)).collect();
        misfits.push(misfit(9, Some(vec![3])));
        let carried = Carried {
            taken: 4,
            misfits,
            unused: vec!["old".into()],
        };
        assert_eq!(
            carried.sentence("runs/a"),
            "4 of 10 parameters start from runs/a; `layers.9` has the shape [3] there and [2] here; \
             `layers.0` does not exist there; `layers.1` does not exist there; `layers.2` does not \
             exist there; and 2 more like that; `old` of it has no place here"
        );
    }
}
