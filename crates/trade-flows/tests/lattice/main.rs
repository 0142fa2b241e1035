//! Flows of lattice fields: the free field, exact symmetries, configurations.

mod any_side;
#[path = "../numeric/mod.rs"]
mod numeric;
mod start;
mod symmetry;

use burn::tensor::{DType, Tensor};
use burn_flex::{Flex, FlexDevice};
use numeric::{Noise, numbers, rows};
use trade_core::{Condition, Density, random::Stream};
use trade_flows::{Flow, FlowConfig};

const F64: DType = DType::F64;

fn flow(config: &FlowConfig, noise: Noise) -> Flow<Flex> {
    let flow = config.init(&FlexDevice, &mut Stream::new(3, 7)).unwrap();
    noise.apply(flow)
}

/// κ and λ within their ranges, one row a field.
fn conditions(n: usize, controls: usize, dtype: DType) -> Condition<Flex> {
    let mut stream = Stream::new(4, 0);
    let row = |u: f64| [0.22 + 0.1 * u, 0.015 + 0.015 * u][..controls].to_vec();
    let values: Vec<f64> = stream.uniform(n).into_iter().flat_map(row).collect();
    Condition::new(rows(&values, controls, dtype))
}

fn fields(n: usize, sites: usize) -> Vec<f64> {
    Stream::new(5, 0).normal64(n * sites)
}

fn log_prob(
    flow: &Flow<Flex>,
    fields: &[f64],
    sites: usize,
    controls: usize,
    dtype: DType,
) -> Vec<f64> {
    let n = fields.len() / sites;
    let x: Tensor<Flex, 2> = rows(fields, sites, dtype);

    numbers(
        flow.log_prob(x, &conditions(n, controls, dtype)).value,
        dtype,
    )
}
