//! The layers of a flow, one kind a file.
//!
//! A new kind of layer is a file with a configuration that is a `Recipe` and a module that is a
//! [`Transform`], and one entry in the list of [`LayerConfig`] below.

mod act_norm;
mod common_scale;
mod conditional_affine;
mod conditional_linear;
mod conditional_whiten;
mod coupling;
mod lattice;
mod permutation;
mod relative;
mod support;
mod torus;
mod triangular;
mod whiten;

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

pub use act_norm::ActNorm;
pub use common_scale::{CommonScale, CommonScaleConfig};
pub use conditional_affine::{ConditionalAffine, ConditionalAffineConfig};
pub use conditional_linear::{ConditionalLinear, ConditionalLinearConfig};
pub use conditional_whiten::{ConditionalWhiten, ConditionalWhitenConfig};
pub use coupling::{
    AffineCoupling, AffineCouplingConfig, AffineKind, RqsCoupling, RqsCouplingConfig, SoftClamp,
};
pub use lattice::{
    ConvCoupling, ConvCouplingConfig, GivenZeroMode, GivenZeroModeConfig, Grid, LongWaves,
    LongWavesConfig, Mask, ModeLayer, ModeMeans, ModeMeansConfig, ModeWidths, ModeWidthsConfig,
    ZeroModePotential, ZeroModePotentialConfig,
};
pub use permutation::{Mixing, Permutation, PermutationKind};
pub use relative::{Relative, RelativeConfig};
pub use support::{Support, Supports};
pub use torus::{
    CircularShift, CircularShiftConfig, GroupCoupling, GroupCouplingConfig, GroupMap, UnitClamp,
};

pub use whiten::{Whiten, WhitenConfig};

use crate::{
    FlowBackend,
    transform::{Features, Transform},
};

/// The widths a layer is built for.
#[derive(Clone, Copy, Debug)]
pub struct Widths {
    /// The dimension of the state, auxiliary dimensions included.
    pub dim: usize,
    /// The number of control parameters.
    pub controls: usize,
    /// The width of the context.
    pub context: usize,
}

impl Widths {
    fn features(self, use_control: bool) -> usize {
        self.context + if use_control { self.controls } else { 0 }
    }
}

/// How a layer is checked and built: implemented by what the configuration says of a layer.
pub(crate) trait Recipe {
    /// The layer.
    type Layer<B: Backend>;

    /// Checks that the layer can be built for these widths.
    ///
    /// # Errors
    /// Names the first setting that makes no sense, with its path below `field`.
    fn validate(&self, widths: Widths, field: &str) -> Result<()>;

    /// Builds the layer; weights and permutations are drawn from `stream`.
    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> Self::Layer<B>;

    /// The configuration with what `layer` drew from the run's seed, other than weights, written
    /// out; `None` where nothing was drawn.
    fn fixed<B: Backend>(&self, _layer: &Self::Layer<B>) -> Option<LayerConfig> {
        None
    }
}

/// An enum of layers that is a layer: a Burn module that hands each call to the layer it holds.
macro_rules! layer_enum {
    ($(#[$meta:meta])* $name:ident { $( $layer:ident $(<$b:ident>)? ),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Module, Debug)]
        #[allow(clippy::large_enum_variant)] // a flow has tens of layers, not millions
        pub enum $name<B: Backend> {
            $(
                #[doc = concat!("See [`", stringify!($layer), "`].")]
                $layer($layer $(<$b>)?),
            )+
        }

        impl<B: FlowBackend> $name<B> {
            fn transform(&self) -> &dyn Transform<B> {
                match self {
                    $( Self::$layer(layer) => layer, )+
                }
            }
        }

        impl<B: FlowBackend> Transform<B> for $name<B> {
            fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
                self.transform().forward(x, features)
            }

            fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
                self.transform().inverse(z, features)
            }

            fn initialised(self, x: &Dual<B, 2>, features: &Features<B>) -> Self {
                match self {
                    $( Self::$layer(layer) => Self::$layer(layer.initialised(x, features)), )+
                }
            }

            fn initialised_along(self, x: &Dual<B, 2>, features: &Features<B>) -> Self {
                match self {
                    $( Self::$layer(layer) => {
                        Self::$layer(layer.initialised_along(x, features))
                    } )+
                }
            }
        }
    };
}
use layer_enum;

/// The list of layers: for each, the entries of the configuration that build it. An entry's
/// [`Recipe`] is what it holds, or the type after `as`, made of what it holds.
macro_rules! layers {
    (@pattern $held:ident $name:ident) => { Self::$name };
    (@pattern $held:ident $name:ident $payload:ty) => { Self::$name($held) };
    (@recipe $held:ident [$payload:ty] []) => { $held };
    (@recipe $held:ident [$payload:ty] [$recipe:path]) => { $recipe($held.clone()) };
    (@recipe $held:ident [] [$recipe:path]) => { $recipe };
    ($(
        $layer:ident $(<$b:ident>)? {
            $( $(#[$doc:meta])* $name:ident $(($payload:ty))? $(as $recipe:path)? ),+ $(,)?
        }
    )+) => {
        /// The configuration of one layer.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum LayerConfig {
            $($( $(#[$doc])* $name $(($payload))?, )+)+
        }

        layer_enum! {
            /// One layer of a flow.
            Layer { $( $layer $(<$b>)? ),+ }
        }

        impl LayerConfig {
            /// Checks that the layer can be built for these widths.
            ///
            /// # Errors
            /// Names the first setting that makes no sense, with its path below `field`.
            pub fn validate(&self, widths: Widths, field: &str) -> Result<()> {
                match self {
                    $($( layers!(@pattern held $name $($payload)?) => {
                        let field = format!("{field}.{}", snake_case(stringify!($name)));
                        layers!(@recipe held [$($payload)?] [$($recipe)?]).validate(widths, &field)
                    } )+)+
                }
            }

            /// Builds the layer; weights and permutations are drawn from `stream`.
            pub fn init<B: Backend>(
                &self,
                widths: Widths,
                device: &B::Device,
                stream: &mut Stream,
            ) -> Layer<B> {
                match self {
                    $($( layers!(@pattern held $name $($payload)?) => Layer::$layer(
                        layers!(@recipe held [$($payload)?] [$($recipe)?])
                            .init::<B>(widths, device, stream)
                    ), )+)+
                }
            }

            /// The same configuration with what `layer` drew from the run's seed, other than
            /// weights, written out.
            pub(crate) fn fixed<B: Backend>(&self, layer: &Layer<B>) -> Self {
                let fixed = match (self, layer) {
                    $($( (layers!(@pattern held $name $($payload)?), Layer::$layer(layer)) => {
                        layers!(@recipe held [$($payload)?] [$($recipe)?]).fixed::<B>(layer)
                    } )+)+
                    _ => None,
                };
                fixed.unwrap_or_else(|| self.clone())
            }
        }
    };
}

layers! {
    RqsCoupling<B> {
        /// See [`RqsCoupling`].
        RqsCoupling(RqsCouplingConfig),
    }
    AffineCoupling<B> {
        /// See [`AffineCoupling`].
        AffineCoupling(AffineCouplingConfig),
    }
    ActNorm<B> {
        /// See [`ActNorm`].
        ActNorm as act_norm::Entries,
        /// An [`ActNorm`] with one scale and shift a channel.
        ChannelActNorm(Grid) as act_norm::Channels,
    }
    Whiten<B> {
        /// See [`Whiten`].
        Whiten(WhitenConfig),
    }
    CommonScale<B> {
        /// See [`CommonScale`].
        CommonScale(CommonScaleConfig),
    }
    Permutation<B> {
        /// A [`Permutation`] drawn from the run's seed.
        Permutation(PermutationKind),
        /// A [`Permutation`] of the channels, the same at all sites, drawn from the run's seed.
        ChannelPermutation(Grid) as lattice::Channels,
        /// The [`Permutation`] that makes each 2×2 block of sites one site of four times the
        /// channels; the grid is the one before it.
        SpaceToDepth(Grid) as lattice::Blocks,
        /// The [`Permutation`], here a rotation, from a field to its real Fourier modes, the zero
        /// mode first and then by growing momentum; the grid has one channel.
        FourierModes(Grid) as lattice::Modes,
        /// A [`Permutation`] given in full; a drawn one is saved like this.
        FixedPermutation(Mixing),
    }
    ZeroModePotential<B> {
        /// See [`ZeroModePotential`].
        ZeroModePotential(ZeroModePotentialConfig),
    }
    GivenZeroMode<B> {
        /// See [`GivenZeroMode`].
        GivenZeroMode(GivenZeroModeConfig),
    }
    LongWaves<B> {
        /// See [`LongWaves`]; after [`FourierModes`](Self::FourierModes).
        LongWaves(LongWavesConfig),
    }
    ModeMeans<B> {
        /// See [`ModeMeans`]; after [`FourierModes`](Self::FourierModes).
        ModeMeans(ModeMeansConfig),
    }
    ModeWidths<B> {
        /// See [`ModeWidths`].
        ModeWidths(ModeWidthsConfig),
    }
    ConvCoupling<B> {
        /// See [`ConvCoupling`].
        ConvCoupling(ConvCouplingConfig),
    }
    ConditionalAffine<B> {
        /// See [`ConditionalAffine`].
        ConditionalAffine(ConditionalAffineConfig),
    }
    ConditionalLinear<B> {
        /// See [`ConditionalLinear`].
        ConditionalLinear(ConditionalLinearConfig),
    }
    ConditionalWhiten<B> {
        /// See [`ConditionalWhiten`]; behind a layer that takes out location and scale.
        ConditionalWhiten(ConditionalWhitenConfig),
    }
    GroupCoupling<B> {
        /// See [`GroupCoupling`].
        GroupCoupling(GroupCouplingConfig),
    }
    CircularShift<B> {
        /// See [`CircularShift`].
        CircularShift(CircularShiftConfig),
    }
    UnitClamp {
        /// See [`UnitClamp`].
        UnitClamp as UnitClamp,
    }
    Relative {
        /// See [`Relative`]; before the support of the state.
        Relative(RelativeConfig),
    }
    Supports {
        /// See [`Supports`]: one [`Support`] for each entry of the state, as the first layer.
        Support(Vec<Support>),
    }
}

impl LayerConfig {
    /// The same configuration with the mixing that a trained layer drew, where this one would draw
    /// another of as many entries.
    pub(crate) fn mixing_as(&self, trained: &Self, widths: Widths) -> Self {
        match (self, trained) {
            (Self::Permutation(_) | Self::ChannelPermutation(_), Self::FixedPermutation(drawn))
                if drawn.len() == widths.dim =>
            {
                trained.clone()
            }
            (Self::GivenZeroMode(own), Self::GivenZeroMode(theirs)) => {
                Self::GivenZeroMode(own.mixing_as(theirs, widths))
            }
            _ => self.clone(),
        }
    }
}

/// The name that serde gives to a variant.
fn snake_case(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}
