//! The device, chosen at run time among the backends this binary was built with.

use std::{fmt, str::FromStr};

use anyhow::{Context, Result, bail};
use trade_flows::FlowBackend;

/// A backend and, for GPUs, which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// Burn's fast CPU backend.
    Flex,
    /// Burn's portable CPU backend.
    NdArray,
    /// A GPU through Vulkan, Metal or DirectX.
    Wgpu(usize),
    /// An NVIDIA GPU.
    Cuda(usize),
}

impl Default for DeviceName {
    /// The first of flex, ndarray, cuda, wgpu that was built.
    fn default() -> Self {
        if cfg!(feature = "flex") {
            Self::Flex
        } else if cfg!(feature = "ndarray") {
            Self::NdArray
        } else if cfg!(feature = "cuda") {
            Self::Cuda(0)
        } else {
            Self::Wgpu(0)
        }
    }
}

impl FromStr for DeviceName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, index) = text.split_once(':').unwrap_or((text, "0"));
        let index: usize = index
            .parse()
            .ok()
            .with_context(|| format!("`{text}`: `{index}` is not a device number"))?;
        match name {
            "flex" => Ok(Self::Flex),
            "ndarray" => Ok(Self::NdArray),
            "wgpu" => Ok(Self::Wgpu(index)),
            "cuda" => Ok(Self::Cuda(index)),
            _ => bail!("unknown device `{text}`; expected flex, ndarray, wgpu[:i] or cuda[:i]"),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flex => write!(f, "flex"),
            Self::NdArray => write!(f, "ndarray"),
            Self::Wgpu(index) => write!(f, "wgpu:{index}"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// Something that runs on any backend.
pub trait Action {
    /// What it gives back.
    type Output;

    /// Runs on a device.
    ///
    /// # Errors
    /// Its own.
    fn run<B: FlowBackend>(self, device: B::Device) -> Result<Self::Output>;
}

/// Runs an action on the named device.
///
/// # Errors
/// If the backend was not built into this binary, if there is no such device, or the action fails.
pub fn on<A: Action>(name: DeviceName, action: A) -> Result<A::Output> {
    match name {
        #[cfg(feature = "flex")]
        DeviceName::Flex => action.run::<burn_flex::Flex>(burn_flex::FlexDevice),
        #[cfg(feature = "ndarray")]
        DeviceName::NdArray => {
            action.run::<burn_ndarray::NdArray<f32>>(burn_ndarray::NdArrayDevice::Cpu)
        }
        #[cfg(feature = "wgpu")]
        DeviceName::Wgpu(index) => {
            let device = match index {
                0 => burn_wgpu::WgpuDevice::DefaultDevice,
                i => burn_wgpu::WgpuDevice::DiscreteGpu(i - 1),
            };
            probe::<burn_wgpu::Wgpu>(&device).context(
                "no usable graphics adapter was found for wgpu; install a Vulkan driver (for \
                 software rendering: Debian package mesa-vulkan-drivers)",
            )?;
            action.run::<burn_wgpu::Wgpu>(device)
        }
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(index) => {
            let device = burn_cuda::CudaDevice::new(index);
            probe::<burn_cuda::Cuda>(&device)
                .context("no usable NVIDIA driver or card was found for cuda")?;
            action.run::<burn_cuda::Cuda>(device)
        }
        #[allow(unreachable_patterns)] // with all features, every backend is built
        missing => {
            let feature = missing.to_string();
            let feature = feature.split(':').next().unwrap_or_default();
            bail!("this binary was built without `{feature}`; build it with `--features {feature}`")
        }
    }
}

/// Whether a GPU answers: drivers that are missing make Burn panic at first use.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn probe<B: FlowBackend>(device: &B::Device) -> Result<()> {
    use burn::tensor::Tensor;
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Tensor::<B, 1>::ones([2], device)
            .sum()
            .into_data()
            .iter::<f32>()
            .next()
    }));
    std::panic::set_hook(hook);
    match answer {
        Ok(Some(2.0)) => Ok(()),
        Ok(other) => bail!("the device answered {other:?} to 1 + 1"),
        Err(cause) => {
            let cause = cause
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| cause.downcast_ref::<&str>().copied())
                .unwrap_or("the driver could not be loaded");
            bail!("{}", cause.lines().next().unwrap_or_default().to_string())
        }
    }
}

/// The backends of this binary, by the names `--device` takes.
pub fn built() -> Vec<&'static str> {
    let all = [
        ("flex", cfg!(feature = "flex")),
        ("ndarray", cfg!(feature = "ndarray")),
        ("wgpu", cfg!(feature = "wgpu")),
        ("cuda", cfg!(feature = "cuda")),
    ];
    all.into_iter()
        .filter_map(|(name, built)| built.then_some(name))
        .collect()
}

/// A line for each backend: what it is and whether it answers.
pub fn list() -> Vec<(String, String)> {
    struct Name;
    impl Action for Name {
        type Output = String;
        fn run<B: FlowBackend>(self, device: B::Device) -> Result<String> {
            Ok(format!("{} ({device:?})", B::name(&device)))
        }
    }
    let devices = [
        DeviceName::Flex,
        DeviceName::NdArray,
        DeviceName::Wgpu(0),
        DeviceName::Cuda(0),
    ];
    devices
        .into_iter()
        .map(|name| {
            let state = match on(name, Name) {
                Ok(answer) => answer,
                Err(error) => error.to_string(),
            };
            (name.to_string(), state)
        })
        .collect()
}
