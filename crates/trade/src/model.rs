//! A trained flow, read from its run and used in batches.

use std::{fs, path::Path};

use crate::error::{Context, Result, bail};
use burn::tensor::Tensor;
use rayon::prelude::*;
use trade_core::{
    Condition, Density,
    parameters::{Arrays, read_arrays, with_parameters, write_arrays},
    random::Stream,
    upload,
};
use trade_flows::{Flow, FlowBackend, FlowConfig};

use crate::{
    run::{RunFolder, write_file},
    stop::stop_if_told,
};

/// Rows handled at once, at most.
const CHUNK: usize = 4096;
/// Numbers of states handled at once by a thread of the host: with more, the hidden layers of a flow of large
/// states leave the caches, and each buffer is new memory.
const CHUNK_ON_HOST: usize = 1 << 16;
/// Chunks between two looks at whether the run is told to stop.
const WAVE: usize = 64;
/// Noise draws behind the log density of an augmented flow.
const DRAWS: usize = 16;

/// Writes weights and configuration; the weights last, since they mark the run as trained.
///
/// # Errors
/// If a file cannot be written.
pub fn write(config: &FlowConfig, weights: &Arrays, folder: &RunFolder) -> Result<()> {
    write_to(config, weights, &folder.flow(), &folder.weights())
}

/// Writes a flow's configuration and then its weights to two files.
pub(crate) fn write_to(
    config: &FlowConfig,
    weights: &Arrays,
    flow: &Path,
    to: &Path,
) -> Result<()> {
    let json = serde_json::to_string(config)? + "\n";
    write_file(flow, &json)?;
    Ok(write_arrays(weights, to)?)
}

/// Reads a flow's configuration and its weights from two files.
pub(crate) fn parts(flow: &Path, weights: &Path) -> Result<(FlowConfig, Arrays)> {
    let text =
        fs::read_to_string(flow).with_context(|| format!("cannot read {}", flow.display()))?;
    let config =
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", flow.display()))?;
    Ok((config, read_arrays(weights)?))
}

/// Reads the trained flow of a run.
///
/// # Errors
/// If the run is not trained yet, or its files do not fit each other.
pub fn read<B: FlowBackend>(
    folder: &RunFolder,
    device: &B::Device,
) -> Result<(FlowConfig, Flow<B>)> {
    if !folder.is_trained() {
        bail!(
            "{} holds no trained model yet; finish it with `trade train {} --resume --out {}`",
            folder.path().display(),
            folder.config().display(),
            folder.path().display()
        );
    }
    let (config, weights) = parts(&folder.flow(), &folder.weights())?;
    // Every weight is replaced and every permutation is written out: any stream will do.
    let flow = config.init::<B>(device, &mut Stream::new(0, 0))?;
    let flow = with_parameters(flow, weights, &folder.weights())?;
    Ok((config, flow))
}

/// The observations that rows of a batch are given.
#[derive(Clone, Debug, Default)]
pub enum Given {
    /// The flow has no context.
    #[default]
    Nothing,
    /// The same observation for every row.
    Same(Vec<f32>),
    /// An observation for each row, `[n, width]` row-major.
    Each {
        /// The observations.
        values: Vec<f32>,
        /// The width of one.
        width: usize,
    },
}

impl Given {
    /// The context of the rows `start..start + n`.
    pub(crate) fn rows<B: FlowBackend>(
        &self,
        start: usize,
        n: usize,
        device: &B::Device,
    ) -> Option<Tensor<B, 2>> {
        match self {
            Self::Nothing => None,
            Self::Same(one) => Some(upload(one.repeat(n), one.len(), device)),
            Self::Each { values, width } => {
                let rows = values[start * width..(start + n) * width].to_vec();
                Some(upload(rows, *width, device))
            }
        }
    }
}

/// Samples with their log density: `[n, dim]` row-major and `[n]`.
pub struct Samples {
    /// The states.
    pub x: Vec<f32>,
    /// `log p_θ` of each (for augmented flows that of state and noise, less that of the noise).
    pub log_prob: Vec<f64>,
}

/// Rows handled at once: fewer where the kernels of the host compute, which take several chunks side by side.
/// Their number is even, since normal numbers are drawn in pairs: samples are then of the same noise on all devices.
fn rows_at_once<B: FlowBackend>(dim: usize) -> usize {
    if B::kernels().is_some() {
        (CHUNK_ON_HOST / dim.max(1)).clamp(128, CHUNK) & !1
    } else {
        CHUNK
    }
}

/// What a function makes of each part, in their order; on the host, of several at a time.
fn side_by_side<B: FlowBackend, I: Send, R: Send>(
    parts: Vec<I>,
    of: impl Fn(I) -> R + Send + Sync,
) -> Vec<R> {
    if B::kernels().is_some() {
        parts.into_par_iter().map(of).collect()
    } else {
        parts.into_iter().map(of).collect()
    }
}

/// Draws `n` samples at a condition, given observations.
pub fn sample<B: FlowBackend>(
    flow: &Flow<B>,
    c: &[f64],
    given: &Given,
    n: usize,
    stream: &mut Stream,
    device: &B::Device,
) -> Samples {
    let width = flow.noise_dim();
    let (mut x, mut log_prob) = (Vec::with_capacity(n * flow.dim()), Vec::with_capacity(n));
    let most = rows_at_once::<B>(width);
    let starts: Vec<usize> = (0..n).step_by(most).collect();
    for wave in starts.chunks(WAVE) {
        stop_if_told();
        let noise = |&start: &usize| (start, stream.normal(most.min(n - start) * width));
        let parts: Vec<(usize, Vec<f32>)> = wave.iter().map(noise).collect();
        let drawn = side_by_side::<B, _, _>(parts, |(start, noise)| {
            let rows = noise.len() / width;
            let noise: Tensor<B, 2> = upload(noise, width, device);
            let condition =
                Condition::uniform(c, rows, &noise).with_context(given.rows(start, rows, device));
            let (points, log) = flow.sample(noise, &condition);
            (points.into_data(), log.into_data())
        });
        for (points, log) in drawn {
            x.extend(points.iter::<f32>());
            log_prob.extend(log.iter::<f64>());
        }
    }
    Samples { x, log_prob }
}

/// `log p_θ(x|c, y)` of given states (`[n, dim]` row-major).
///
/// An augmented flow gives the logarithm of the mean density over 16 draws of its noise, which
/// approaches the density from below. A state with an infinite entry has none.
pub fn log_prob<B: FlowBackend>(
    flow: &Flow<B>,
    x: &[f32],
    c: &[f64],
    given: &Given,
    stream: &mut Stream,
    device: &B::Device,
) -> Vec<f64> {
    if flow.augmentation() > 0 {
        return augmented_log_prob(flow, x, c, given, stream, device);
    }
    let dim = flow.dim();
    let most = rows_at_once::<B>(dim);
    let parts: Vec<(usize, &[f32])> = x.chunks(most * dim).enumerate().collect();
    let mut all = Vec::with_capacity(x.len() / dim);
    for wave in parts.chunks(WAVE) {
        stop_if_told();
        let found = side_by_side::<B, _, _>(wave.to_vec(), |(i, part)| {
            let points: Tensor<B, 2> = upload(part.to_vec(), dim, device);
            let rows = part.len() / dim;
            let context = given.rows(i * most, rows, device);
            let condition = Condition::uniform(c, rows, &points).with_context(context);
            flow.log_prob(points, &condition).value.into_data()
        });
        all.extend(found.iter().flat_map(|log| log.iter::<f64>()));
    }
    for (log, state) in all.iter_mut().zip(x.chunks(dim)) {
        if state.iter().any(|x| x.is_infinite()) && !state.iter().any(|x| x.is_nan()) {
            *log = f64::NEG_INFINITY;
        }
    }
    all
}

/// [`log_prob`] of an augmented flow; the noise of one chunk is drawn after that of the other.
fn augmented_log_prob<B: FlowBackend>(
    flow: &Flow<B>,
    x: &[f32],
    c: &[f64],
    given: &Given,
    stream: &mut Stream,
    device: &B::Device,
) -> Vec<f64> {
    let (dim, extra) = (flow.dim(), flow.augmentation());
    let mut all = Vec::with_capacity(x.len() / dim);
    for chunk in x.chunks(CHUNK * dim) {
        stop_if_told();
        let points: Tensor<B, 2> = upload(chunk.to_vec(), dim, device);
        let rows = chunk.len() / dim;
        let context = given.rows(all.len(), rows, device);
        let condition = Condition::uniform(c, rows, &points).with_context(context);
        let mut draws = vec![Vec::with_capacity(DRAWS); rows];
        for _ in 0..DRAWS {
            let noise = upload(stream.normal(rows * extra), extra, device);
            let augmented = Tensor::cat(vec![points.clone(), noise], 1);
            let bound = flow.log_prob(augmented, &condition).value.into_data();
            draws
                .iter_mut()
                .zip(bound.iter::<f64>())
                .for_each(|(d, b)| d.push(b));
        }
        let mean = |d: Vec<f64>| trade_core::estimate::log_z::log_sum_exp(&d) - (DRAWS as f64).ln();
        all.extend(draws.into_iter().map(mean));
    }
    all
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    #[test]
    fn samples_and_densities_do_not_depend_on_the_number_of_threads() {
        let config = FlowConfig::spline(2);
        let flow: Flow<Flex> = config
            .init(&FlexDevice, &mut Stream::new(3, 0))
            .expect("a flow");
        let n = 2 * CHUNK + 100;
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().expect("threads").install(|| {
                let mut stream = Stream::new(4, 0);
                let given = Given::Nothing;
                let drawn = sample(&flow, &[0.7], &given, n, &mut stream, &FlexDevice);
                let again = log_prob(&flow, &drawn.x, &[0.7], &given, &mut stream, &FlexDevice);
                assert_eq!(drawn.x.len(), 2 * n);
                // One after the other, in the order of the rows.
                let rows = drawn.x.chunks(2).zip(&again).step_by(997);
                for (x, log) in rows {
                    let own = log_prob(&flow, x, &[0.7], &given, &mut stream, &FlexDevice);
                    assert!((own[0] - log).abs() < 1e-5);
                }
                (drawn.x, drawn.log_prob, again)
            })
        };
        assert_eq!(on(1), on(3));
    }
}
