//! Targets as text against targets in code, differences, closed forms, and texts that are wrong.

mod densities;
mod faults;
mod mutations;
mod references;
mod settings;
mod tails;

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use burn_flex::{Flex, FlexDevice};
use serde_json::{Value, json};
use trade_core::random::Stream;

use super::{Expression, ExpressionConfig};
use crate::Result;

/// The target of a JSON text.
fn target(text: &str) -> Expression {
    let config: ExpressionConfig = serde_json::from_str(text).unwrap();
    config.init().unwrap_or_else(|error| panic!("{error}"))
}

/// The target of an expression of `x` with 3 entries, `y` with 2, the numbers `a` and the control `T`,
/// with some constants.
fn standard(log_density: &str) -> Result<Expression> {
    with_parts(&json!({}), log_density)
}

fn with_parts(parts: &Value, log_density: &str) -> Result<Expression> {
    // `serde_json::Value` sorts the names, here as they should be.
    let config = json!({
        "variables": { "a": 1, "x": 3, "y": 2 },
        "controls": ["T"],
        "constants": { "s": 0.5, "v": [0.2, -0.4, 1.1], "A": [[1.0, 2.0, 3.0], [0.5, -1.0, 0.25]] },
        "let": parts,
        "log_density": log_density
    });
    serde_json::from_value::<ExpressionConfig>(config)
        .unwrap()
        .init()
}

/// The numbers as a tensor of rows in a precision.
fn rows<B: Backend<Device = FlexDevice>>(
    values: &[f64],
    width: usize,
    dtype: DType,
) -> Tensor<B, 2> {
    let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
    Tensor::from_data(data, (&FlexDevice, dtype))
}

fn numbers<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().to_vec().unwrap()
}

fn normal(n: usize, seed: u64) -> Vec<f64> {
    Stream::new(seed, 0).normal64(n)
}
