//! The trainable numbers of a model, by name.

use std::{collections::BTreeMap, path::Path};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use safetensors::{SafeTensors, tensor::TensorView};

use crate::{
    checkpoint_file::write_atomically,
    error::{Error, Result},
};

/// Arrays by name, in single precision.
pub type Arrays = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

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

/// The precision of a module's parameters: that of the first; single for one without any.
pub fn precision<B: Backend, M: Module<B>>(module: &M) -> DType {
    struct First(Option<DType>);
    impl<B: Backend> ModuleVisitor<B> for First {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.get_or_insert_with(|| param.val().dtype());
        }
    }
    let mut first = First(None);
    module.visit(&mut first);
    first.0.unwrap_or(DType::F32)
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
    struct Replace {
        path: Vec<String>,
        arrays: Arrays,
        problem: Option<String>,
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
            let expected = param.lazy_shape().to_vec();
            match self.arrays.remove(&name) {
                Some((shape, values)) if shape == expected => param.map(|tensor| {
                    let device = tensor.device();
                    let data = TensorData::new(values, shape);
                    Tensor::from_data(data, (&device, tensor.dtype())).require_grad()
                }),
                found => {
                    let found =
                        found.map_or("nothing".into(), |(shape, _)| format!("shape {shape:?}"));
                    self.problem.get_or_insert(format!(
                        "parameter `{name}`: expected shape {expected:?}, found {found}"
                    ));
                    param
                }
            }
        }
    }
    let mut replace = Replace {
        path: Vec::new(),
        arrays,
        problem: None,
    };
    let module = module.map(&mut replace);
    if let Some(problem) = replace.problem {
        return Err(Error::file(path, problem));
    }
    match replace.arrays.keys().next() {
        Some(extra) => Err(Error::file(
            path,
            format!("parameter `{extra}` is not part of the model"),
        )),
        None => Ok(module),
    }
}

/// Writes arrays as safetensors.
///
/// # Errors
/// If the file cannot be written.
pub fn write_arrays(arrays: &Arrays, path: &Path) -> Result<()> {
    let bytes: Vec<(&String, &[usize], Vec<u8>)> = arrays
        .iter()
        .map(|(name, (shape, values))| {
            (
                name,
                shape.as_slice(),
                values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            )
        })
        .collect();
    let mut views = Vec::with_capacity(bytes.len());
    for (name, shape, bytes) in &bytes {
        let view = TensorView::new(safetensors::Dtype::F32, shape.to_vec(), bytes)
            .map_err(|error| Error::file(path, error.to_string()))?;
        views.push((name.as_str(), view));
    }
    let file = safetensors::serialize(views, None)
        .map_err(|error| Error::file(path, error.to_string()))?;
    write_atomically(path, |writer| {
        writer
            .write_all(&file)
            .map_err(|error| Error::io(path, error))
    })
}

/// Reads what [`write_arrays`] wrote.
///
/// # Errors
/// If the file cannot be read, is cut short or corrupt, or holds other types than f32.
pub fn read_arrays(path: &Path) -> Result<Arrays> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
    let corrupt = |error: safetensors::SafeTensorError| {
        Error::file(path, format!("not a complete safetensors file ({error})"))
    };
    let file = SafeTensors::deserialize(&bytes).map_err(corrupt)?;
    file.iter()
        .map(|(name, view)| {
            if view.dtype() != safetensors::Dtype::F32 {
                let reason = format!("`{name}` has type {:?}, expected F32", view.dtype());
                return Err(Error::file(path, reason));
            }
            let values = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            Ok((name.to_string(), (view.shape().to_vec(), values)))
        })
        .collect()
}
