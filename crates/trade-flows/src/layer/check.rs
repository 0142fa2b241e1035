//! Settings of layers that make no sense, found before a layer is built.

use super::{Grid, LayerConfig, Mixing, Support, Widths};
use crate::spline::RqsShape;

impl LayerConfig {
    /// The field that makes no sense, with its path below the layer, and why; if there is one.
    pub(crate) fn check(&self, widths: Widths) -> Result<(), (String, String)> {
        let dim = widths.dim;
        let refused = |field: &str, reason: &str| Err((field.to_string(), reason.to_string()));
        let below = |layer: &'static str| {
            move |(field, reason): (&'static str, String)| (format!("{layer}.{field}"), reason)
        };
        match self {
            Self::RqsCoupling(_) | Self::AffineCoupling(_) if dim < 2 => refused(
                "",
                "a coupling needs a state of at least 2 dimensions; add `augmentation`",
            ),
            Self::RqsCoupling(config) => {
                let shape = RqsShape {
                    bins: config.bins,
                    tails: config.tails,
                };
                shape
                    .check()
                    .map_err(|e| ("rqs_coupling".into(), e.to_string()))
            }
            Self::FixedPermutation(mixing) => {
                let fits = match mixing {
                    Mixing::Order(order) => {
                        let mut sorted = order.clone();
                        sorted.sort_unstable();
                        sorted.into_iter().eq(0..dim)
                    }
                    Mixing::Matrix(rows) => {
                        rows.len() == dim && rows.iter().all(|r| r.len() == dim)
                    }
                };
                if !fits {
                    return refused(
                        "fixed_permutation",
                        &format!("must mix exactly {dim} entries"),
                    );
                }
                // Its log determinant is taken to be zero.
                if !mixing.is_orthogonal() {
                    return refused("fixed_permutation.matrix", "must be orthogonal");
                }
                Ok(())
            }
            Self::ChannelActNorm(grid) => grid_fits("channel_act_norm", *grid, dim),
            Self::ChannelPermutation(grid) => grid_fits("channel_permutation", *grid, dim),
            Self::SpaceToDepth(grid) => {
                grid_fits("space_to_depth", *grid, dim)?;
                if grid.side.is_multiple_of(2) {
                    Ok(())
                } else {
                    refused("space_to_depth.side", "2×2 blocks need an even side")
                }
            }
            Self::FourierModes(grid) => {
                grid_fits("fourier_modes", *grid, dim)?;
                if grid.channels == 1 {
                    Ok(())
                } else {
                    refused("fourier_modes.channels", "must be 1")
                }
            }
            Self::FourierWhitening(config) => {
                config.check(widths).map_err(below("fourier_whitening"))
            }
            Self::ZeroModeSpline(config) => config.check().map_err(below("zero_mode_spline")),
            Self::ZeroModePotential(config) => {
                config.check(widths).map_err(below("zero_mode_potential"))
            }
            Self::GivenZeroMode(config) => config
                .check(widths)
                .map_err(|(field, reason)| (format!("given_zero_mode.{field}"), reason)),
            Self::ConvCoupling(config) => config.check(widths).map_err(below("conv_coupling")),
            Self::Support(supports) => {
                if supports.len() != dim {
                    let found = supports.len();
                    return refused("support", &format!("needs {dim} entries, found {found}"));
                }
                let empty = supports.iter().any(|support| {
                    matches!(support, Support::Interval { low, high }
                        if !(low < high && (high - low).is_finite()))
                });
                if empty {
                    return refused("support", "an interval needs low < high");
                }
                Ok(())
            }
            Self::GroupCoupling(config) => config.check(dim).map_err(below("group_coupling")),
            Self::CircularShift(config) => config.check(dim).map_err(below("circular_shift")),
            Self::AffineCoupling(_)
            | Self::ActNorm
            | Self::UnitClamp
            | Self::Permutation(_)
            | Self::ConditionalAffine(_) => Ok(()),
        }
    }
}

fn grid_fits(layer: &str, grid: Grid, dim: usize) -> Result<(), (String, String)> {
    if grid.dim() == 0 {
        return Err((
            layer.into(),
            "a grid has at least one site and channel".into(),
        ));
    }
    grid.check(dim).map_err(|reason| (layer.into(), reason))
}
