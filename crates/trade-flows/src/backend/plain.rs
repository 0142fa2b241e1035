//! Backends without kernels of their own: they run the plain tensor operations.

#[cfg(any(feature = "ndarray", feature = "wgpu", feature = "cuda"))]
use super::FlowBackend;

#[cfg(feature = "ndarray")]
impl FlowBackend for burn_ndarray::NdArray<f32> {}

#[cfg(feature = "wgpu")]
impl FlowBackend for burn_wgpu::Wgpu {}

#[cfg(feature = "cuda")]
impl FlowBackend for burn_cuda::Cuda {}
