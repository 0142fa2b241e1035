//! What is measured of a trained flow: raw, reweighted and along a Metropolis chain.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use trade::{Run, device::DeviceName, run::RunFolder};
use trade_core::{
    estimate::{
        Estimate, autocorrelation::Autocorrelation, log_z::log_z,
        metropolis::independence_metropolis, snis::Weights,
    },
    random::Stream,
};
use trade_targets::lattice::{Couplings, Observables, Phi4, Resampling};

/// The seed of the samples measured here, another than that of `trade evaluate`.
const SEED: u64 = 0x006d_6561_7375_7265;
/// How many fields are kept for pictures.
const PICTURES: usize = 2;

/// The measures of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// Samples of the flow at each condition.
    pub(super) samples: usize,
    /// The measures, condition by condition.
    pub(super) at: Vec<AtCouplings>,
}

/// The measures at one condition. An observable that could not be measured is absent: a flow may
/// make fields that are not finite, or weights of which none counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AtCouplings {
    /// The condition, `[κ]` or `[κ, λ]`.
    pub(super) condition: Vec<f64>,
    /// How many samples were not finite; they are left out.
    pub(super) lost: usize,
    /// The relative effective sample size.
    pub(super) ess: f64,
    /// `log Z` from the mean weight.
    pub(super) log_z: Option<Estimate>,
    /// Of the flow as it is.
    pub(super) raw: Option<Observables>,
    /// With self-normalised importance weights.
    pub(super) weighted: Option<Observables>,
    /// Along an independence Metropolis chain with the flow as its proposal.
    pub(super) chain: Option<Observables>,
    /// The fraction of proposals that the chain accepts.
    pub(super) acceptance: Option<f64>,
    /// The longer of the autocorrelation times of `|M|` and of the action along the chain.
    pub(super) tau: Option<Estimate>,
    /// Some fields of the flow, `[L²]` each.
    pub(super) fields: Vec<Vec<f32>>,
}

/// Measures the flow of a run.
pub(super) struct Measure<'a> {
    /// The run.
    pub(super) folder: &'a RunFolder,
    /// Its target.
    pub(super) target: &'a Phi4,
    /// Where to measure.
    pub(super) conditions: &'a [Vec<f64>],
    /// Samples of the flow at each condition.
    pub(super) samples: usize,
}

impl Measure<'_> {
    /// Measures the flow of the run on a device.
    pub(super) fn run(self, device: DeviceName) -> Result<Measured> {
        let flow = Run::open(self.folder, device)?;
        let at = self
            .conditions
            .iter()
            .enumerate()
            .map(|(i, c)| self.at(&flow, c, &mut Stream::new(SEED, i as u64)))
            .collect::<Result<_>>()?;
        Ok(Measured {
            samples: self.samples,
            at,
        })
    }
}

impl Measure<'_> {
    fn at(&self, flow: &Run, c: &[f64], stream: &mut Stream) -> Result<AtCouplings> {
        let couplings = self.target.couplings(c)?;
        let samples = flow.at(c).draw(self.samples, stream)?;
        Ok(at(
            self.target,
            c,
            couplings,
            &samples.x,
            &samples.log_prob,
            stream,
        ))
    }
}

/// The measures of samples `x`, `[n, L²]`, with their log density under the flow.
fn at(
    target: &Phi4,
    condition: &[f64],
    couplings: Couplings,
    x: &[f32],
    log_prob: &[f64],
    stream: &mut Stream,
) -> AtCouplings {
    let torus = target.torus();
    let (mut fields, mut log_weights) = (Vec::with_capacity(x.len()), Vec::new());
    for (field, log_prob) in x.chunks_exact(torus.sites()).zip(log_prob) {
        let wide: Vec<f64> = field.iter().map(|&phi| f64::from(phi)).collect();
        let log_weight = torus.log_density(&wide, couplings) - log_prob;
        if log_weight.is_finite() {
            fields.extend_from_slice(field);
            log_weights.push(log_weight);
        }
    }
    let weights = Weights::from_log(&log_weights).ok();
    let measure = |fields: &[f32], weights: Option<&[f64]>, block| {
        let resampling = Resampling {
            block,
            ..Resampling::default()
        };
        let observables = Observables::measure(torus, fields, couplings, weights, resampling);
        observables.ok().filter(is_finite)
    };
    let mut measured = AtCouplings {
        condition: condition.to_vec(),
        lost: log_prob.len() - log_weights.len(),
        ess: weights.as_ref().map_or(0.0, Weights::relative_ess),
        log_z: log_z(&log_weights).ok(),
        raw: measure(&fields, None, 1),
        weighted: measure(&fields, Some(&log_weights), 1),
        chain: None,
        acceptance: None,
        tau: None,
        fields: fields
            .chunks_exact(torus.sites())
            .take(PICTURES)
            .map(<[f32]>::to_vec)
            .collect(),
    };
    let Ok(chain) = independence_metropolis(&log_weights, stream) else {
        return measured;
    };
    let along: Vec<f32> = chain
        .indices
        .iter()
        .flat_map(|&i| &fields[i * torus.sites()..(i + 1) * torus.sites()])
        .copied()
        .collect();
    measured.acceptance = Some(chain.acceptance);
    let time = |quantity: &dyn Fn(&[f64]) -> f64| {
        let series: Vec<f64> = along
            .chunks_exact(torus.sites())
            .map(|field| quantity(&field.iter().map(|&phi| f64::from(phi)).collect::<Vec<_>>()))
            .collect();
        Some(Autocorrelation::new(&series).ok()?.tau)
    };
    let times = [
        time(&|field| field.iter().sum::<f64>().abs()),
        time(&|field| torus.action(field, couplings)),
    ];
    let longest = times.into_iter().flatten();
    measured.tau = longest.max_by(|a, b| a.value.total_cmp(&b.value));
    // Blocks of 10 τ see nine tenths of the variance of a mean; at least 20 of them are left.
    let block = measured.tau.map_or(1.0, |tau| (10.0 * tau.value).ceil());
    let block = (block as usize).min(chain.indices.len() / 20);
    measured.chain = measure(&along, None, block);
    measured
}

fn is_finite(o: &Observables) -> bool {
    let all = [
        o.magnetisation,
        o.action,
        o.susceptibility,
        o.binder,
        o.correlation_length,
        o.kappa_score,
        o.lambda_score,
        o.kappa_curvature,
    ];
    let all = all.iter().chain(&o.correlator);
    all.into_iter()
        .all(|e| e.value.is_finite() && e.error.is_finite())
}

#[cfg(test)]
mod tests {
    use trade_targets::lattice::Phi4Config;

    use super::*;

    /// Fields of independent Gaussian sites with standard deviation `width`, as a flow that is
    /// exact for κ = λ = 0 at `width` = √½ would make them.
    fn gaussian(target: &Phi4, n: usize, width: f64) -> (Vec<f32>, Vec<f64>) {
        let sites = target.torus().sites();
        let z = Stream::new(7, 0).normal64(n * sites);
        let log_prob = z.chunks(sites).map(|z| {
            let square: f64 = z.iter().map(|z| z * z).sum();
            let log_width = (width * std::f64::consts::TAU.sqrt()).ln();
            -0.5 * square - sites as f64 * log_width
        });
        let log_prob = log_prob.collect();
        (z.iter().map(|z| (width * z) as f32).collect(), log_prob)
    }

    fn target() -> Phi4 {
        let config = Phi4Config {
            l: 4,
            lambda: Some(0.0),
        };
        config.init().unwrap()
    }

    const FREE: Couplings = Couplings {
        kappa: 0.0,
        lambda: 0.0,
    };

    #[test]
    fn an_exact_flow_needs_no_correction() {
        let target = target();
        let (x, log_prob) = gaussian(&target, 4000, 0.5_f64.sqrt());
        let measured = at(&target, &[0.0], FREE, &x, &log_prob, &mut Stream::new(8, 0));
        assert!((measured.ess - 1.0).abs() < 1e-6 && measured.acceptance.unwrap() > 0.99);
        // log Z of V free sites with S = φ²: V log √π.
        let log_z = measured.log_z.unwrap();
        assert!((log_z.value - 8.0 * std::f64::consts::PI.ln()).abs() < 1e-3);
        let (raw, weighted) = (measured.raw.unwrap(), measured.weighted.unwrap());
        assert!((raw.action.value - 0.5).abs() < 4.5 * raw.action.error);
        assert!((raw.action.value - weighted.action.value).abs() < 1e-5);
        let tau = measured.tau.unwrap();
        assert!((tau.value - 0.5).abs() < 4.5 * tau.error + 0.05, "{tau:?}");
    }

    #[test]
    fn a_wide_flow_is_corrected_both_ways() {
        let target = target();
        // Per site the weight is e^{−φ²(1 − 1/2w²)}: with w² = 0.55 its second moment over the
        // square of the first is w²/√(w⁴ − (w² − ½)²).
        let variance = 0.55_f64;
        let (mut x, mut log_prob) = gaussian(&target, 8000, variance.sqrt());
        // A field that is no field does not count.
        x.extend([f32::NAN; 16]);
        log_prob.push(0.0);
        let measured = at(&target, &[0.0], FREE, &x, &log_prob, &mut Stream::new(9, 0));
        assert_eq!(measured.lost, 1);
        let moment = variance / (variance.powi(2) - (variance - 0.5).powi(2)).sqrt();
        let ess = moment.powi(-16);
        assert!((measured.ess - ess).abs() < 0.02, "{} {ess}", measured.ess);
        let raw = measured.raw.unwrap().action;
        assert!((raw.value - variance).abs() < 4.5 * raw.error, "{raw:?}");
        for corrected in [measured.weighted.unwrap(), measured.chain.unwrap()] {
            let action = corrected.action;
            assert!(
                (action.value - 0.5).abs() < 4.5 * action.error,
                "{action:?}"
            );
            assert!(raw.value - action.value > 10.0 * action.error);
        }
        assert!((0.5..0.99).contains(&measured.acceptance.unwrap()));
        assert!(measured.tau.unwrap().value > 0.5);
    }

    #[test]
    fn a_flow_that_fails_is_measured_as_far_as_it_goes() {
        let target = target();
        let (x, log_prob) = (vec![f32::NAN; 32], vec![0.0; 2]);
        let measured = at(&target, &[0.0], FREE, &x, &log_prob, &mut Stream::new(9, 0));
        assert_eq!((measured.lost, measured.ess), (2, 0.0));
        assert!(measured.raw.is_none() && measured.chain.is_none() && measured.log_z.is_none());
        let text = serde_json::to_string(&measured).unwrap();
        assert_eq!(
            serde_json::from_str::<AtCouplings>(&text).unwrap(),
            measured
        );
    }
}
