//! The device, chosen at run time among the backends this binary was built with.

#[cfg(feature = "wgpu")]
mod adapters;
#[cfg(feature = "cuda")]
mod cards;

use std::{fmt, str::FromStr};

use crate::error::{Context, Result, bail};
use burn_autodiff::Autodiff;
use trade_core::{Family, objective::TrainableTarget};
use trade_flows::FlowBackend;

/// A backend and, for GPUs, which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// Burn's fast CPU backend.
    Flex,
    /// Burn's portable CPU backend.
    NdArray,
    /// A GPU through Vulkan or Metal.
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
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
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

impl DeviceName {
    /// The Cargo feature that builds its backend.
    pub fn feature(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
            Self::Wgpu(_) => "wgpu",
            Self::Cuda(_) => "cuda",
        }
    }

    pub(crate) fn not_built(self) -> String {
        let feature = self.feature();
        format!("this binary was built without `{feature}`; build it with `--features {feature}`")
    }
}

/// Something that runs on any backend.
pub trait Action {
    /// What it gives back.
    type Output;

    /// Runs on a device.
    fn run<B: FlowBackend>(self, device: B::Device) -> Self::Output;
}

/// Evaluates an expression with `$B` as the backend of a device's name and `$device` as the device.
///
/// The expression is compiled once for each backend in this binary, with the backend's own type, so that
/// it may ask for what holds for these backends only.
macro_rules! on_device {
    ($name:expr, $B:ident, $device:ident => $run:expr) => {
        match $name {
            #[cfg(feature = "flex")]
            $crate::device::DeviceName::Flex => {
                type $B = burn_flex::Flex;
                $crate::threads::instructions()?;
                let $device = burn_flex::FlexDevice;
                $run
            }
            #[cfg(feature = "ndarray")]
            $crate::device::DeviceName::NdArray => {
                type $B = burn_ndarray::NdArray<f32>;
                let $device = burn_ndarray::NdArrayDevice::Cpu;
                $run
            }
            #[cfg(feature = "wgpu")]
            $crate::device::DeviceName::Wgpu(number) => {
                type $B = burn_wgpu::Wgpu;
                let $device = $crate::device::wgpu_device(number)?;
                $run
            }
            #[cfg(feature = "cuda")]
            $crate::device::DeviceName::Cuda(number) => {
                type $B = burn_cuda::Cuda;
                let $device = $crate::device::cuda_device(number)?;
                $run
            }
            #[allow(unreachable_patterns)] // with all features, every backend is built
            missing => $crate::error::bail!("{}", missing.not_built()),
        }
    };
}

pub(crate) use on_device;

/// Runs an action on the named device.
///
/// # Errors
/// If the backend was not built into this binary, or if there is no such device.
pub fn on<A: Action>(name: DeviceName, action: A) -> Result<A::Output> {
    on_device!(name, B, device => Ok(action.run::<B>(device)))
}

#[cfg(feature = "wgpu")]
pub(crate) fn wgpu_device(number: usize) -> Result<burn_wgpu::WgpuDevice> {
    let device = adapters::numbered(number)?;
    probe::<burn_wgpu::Wgpu>(&device)
        .with_context(|| format!("the adapter wgpu:{number} does not compute"))?;
    Ok(device)
}

#[cfg(feature = "cuda")]
pub(crate) fn cuda_device(number: usize) -> Result<burn_cuda::CudaDevice> {
    cards::numbered(number)?;
    cards::keep_kernels();
    let device = burn_cuda::CudaDevice::new(number);
    probe::<burn_cuda::Cuda>(&device)
        .with_context(|| format!("the card cuda:{number} does not compute"))?;
    Ok(device)
}

/// A target that every backend of this binary can train on. Each type that implements
/// [`Target<B>`](trade_core::Target) for all backends `B` has this trait.
pub trait AnyDevice: Family + Send + Sync + OnFlex + OnNdArray + OnWgpu + OnCuda + 'static {}

impl<T: Family + Send + Sync + OnFlex + OnNdArray + OnWgpu + OnCuda + 'static> AnyDevice for T {}

/// Declares the part of [`AnyDevice`] that belongs to one backend.
macro_rules! on_backend {
    ($trait:ident, $feature:literal, $backend:ty) => {
        #[doc = concat!("A target that the backend `", $feature, "` can train on, if it is built.")]
        #[cfg(feature = $feature)]
        pub trait $trait: TrainableTarget<Autodiff<$backend>> {}
        #[cfg(feature = $feature)]
        impl<T: TrainableTarget<Autodiff<$backend>>> $trait for T {}
        #[doc = concat!("A target that the backend `", $feature, "` can train on, if it is built.")]
        #[cfg(not(feature = $feature))]
        pub trait $trait {}
        #[cfg(not(feature = $feature))]
        impl<T> $trait for T {}
    };
}

on_backend!(OnFlex, "flex", burn_flex::Flex);
on_backend!(OnNdArray, "ndarray", burn_ndarray::NdArray<f32>);
on_backend!(OnWgpu, "wgpu", burn_wgpu::Wgpu);
on_backend!(OnCuda, "cuda", burn_cuda::Cuda);

/// Whether a GPU computes at all: what its driver lacks makes Burn panic at first use.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn probe<B: FlowBackend>(device: &B::Device) -> Result<()> {
    use burn::tensor::Tensor;
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let sum = Tensor::<B, 1>::ones([2], device).sum().into_data();
        sum.iter::<f32>().next()
    }));
    std::panic::set_hook(hook);
    match answer {
        Ok(Some(2.0)) => Ok(()),
        Ok(other) => bail!("it answered {other:?} to 1 + 1"),
        Err(cause) => {
            let cause = cause
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| cause.downcast_ref::<&str>().copied())
                .unwrap_or("its driver gives no reason");
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

/// A line for each device: the name that `--device` takes, and what it is or why there is none.
pub fn list() -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (name, what) in [
        (DeviceName::Flex, "with Burn's fast backend"),
        (DeviceName::NdArray, "with Burn's portable backend"),
    ] {
        let built = built().contains(&name.feature());
        let text = if built {
            format!("{} {what}", processor())
        } else {
            name.not_built()
        };
        lines.push((name.to_string(), text));
    }
    #[cfg(feature = "wgpu")]
    {
        let adapters = adapters::all();
        if adapters.is_empty() {
            lines.push(("wgpu".into(), adapters::NONE.into()));
        }
        let name = |number| DeviceName::Wgpu(number).to_string();
        let adapters = adapters.into_iter().enumerate();
        lines.extend(adapters.map(|(number, found)| (name(number), found.text)));
    }
    #[cfg(not(feature = "wgpu"))]
    lines.push(("wgpu".into(), DeviceName::Wgpu(0).not_built()));
    #[cfg(feature = "cuda")]
    match cards::all() {
        Ok(cards) => {
            let name = |number| DeviceName::Cuda(number).to_string();
            let cards = cards.into_iter().enumerate();
            lines.extend(cards.map(|(number, text)| (name(number), text)));
        }
        Err(error) => lines.push(("cuda".into(), error.to_string())),
    }
    #[cfg(not(feature = "cuda"))]
    lines.push(("cuda".into(), DeviceName::Cuda(0).not_built()));
    lines
}

/// The threads and the memory of the machine itself.
fn processor() -> String {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut text = format!("CPU: {threads} threads");
    let total = std::fs::read_to_string("/proc/meminfo").ok();
    let kibibytes = total.as_deref().and_then(|meminfo| {
        let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    if let Some(kibibytes) = kibibytes {
        text = format!("{text}, memory {}", gibibytes(kibibytes * 1024));
    }
    text
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}
