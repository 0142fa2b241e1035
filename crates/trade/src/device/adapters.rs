//! The graphics adapters that wgpu finds.

use crate::error::{Result, bail};
use burn_wgpu::{
    WgpuDevice,
    graphics::{AutoGraphicsApi, GraphicsApi},
};
use wgpu::{Adapter, DeviceType, Instance, InstanceDescriptor};

/// What to do where there is none.
pub(super) const NONE: &str = "no graphics adapter was found for wgpu; install the driver of your GPU with Vulkan \
     (without a GPU, Mesa's software driver: Debian package mesa-vulkan-drivers)";

/// An adapter, by the number that `--device wgpu:<number>` takes.
pub(super) struct Found {
    pub device: WgpuDevice,
    /// Name, interface, kind, driver, memory.
    pub text: String,
}

/// All adapters of the interface that Burn uses on this system, the one that wgpu prefers first.
pub(super) fn all() -> Vec<Found> {
    let backend = AutoGraphicsApi::backend();
    let instance = Instance::new(InstanceDescriptor {
        backends: backend.into(),
        ..InstanceDescriptor::new_without_display_handle()
    });
    let adapters = burn::tensor::try_read_sync(instance.enumerate_adapters(backend.into()));
    let mut adapters = adapters.unwrap_or_default();
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    let mut of_a_kind = [0; 5];
    adapters
        .iter()
        .map(|adapter| {
            let kind = adapter.get_info().device_type;
            let number = of_a_kind[rank(kind)];
            of_a_kind[rank(kind)] += 1;
            Found {
                device: match kind {
                    DeviceType::DiscreteGpu => WgpuDevice::DiscreteGpu(number),
                    DeviceType::IntegratedGpu => WgpuDevice::IntegratedGpu(number),
                    DeviceType::VirtualGpu => WgpuDevice::VirtualGpu(number),
                    DeviceType::Cpu => WgpuDevice::Cpu,
                    DeviceType::Other => WgpuDevice::DefaultDevice,
                },
                text: text(adapter),
            }
        })
        .collect()
}

/// The adapter of a number.
pub(super) fn numbered(number: usize) -> Result<WgpuDevice> {
    let mut found = all();
    if found.is_empty() {
        bail!("{NONE}");
    }
    let count = found.len();
    if number >= count {
        bail!(
            "there is no wgpu:{number}, only wgpu:0 to wgpu:{}; `trade devices` lists them",
            count - 1
        );
    }
    Ok(found.swap_remove(number).device)
}

/// The order in which wgpu prefers them when asked for high performance.
fn rank(kind: DeviceType) -> usize {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::Other => 2,
        DeviceType::VirtualGpu => 3,
        DeviceType::Cpu => 4,
    }
}

fn text(adapter: &Adapter) -> String {
    let info = adapter.get_info();
    let kind = match info.device_type {
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => "software",
        DeviceType::Other => "of unknown kind",
    };
    let mut text = format!("{}: {kind}, {}", info.name, info.backend);
    let driver = format!("{} {}", info.driver, info.driver_info);
    if !driver.trim().is_empty() {
        text = format!("{text}, driver {}", driver.trim());
    }
    if let Some(bytes) = memory(adapter) {
        text = format!("{text}, memory {}", super::gibibytes(bytes));
    }
    text
}

/// The size of the adapter's own memory, which Vulkan tells.
#[cfg(any(target_os = "linux", target_os = "windows"))]
fn memory(adapter: &Adapter) -> Option<u64> {
    // SAFETY: the handle is only asked for properties, and `adapter` outlives it.
    unsafe {
        let adapter = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = adapter.shared_instance().raw_instance();
        let found = instance.get_physical_device_memory_properties(adapter.raw_physical_device());
        // Heap 0 of a card is its own memory, flagged as local to the device (bit 0).
        let heaps = &found.memory_heaps[..found.memory_heap_count as usize];
        let local = heaps.iter().filter(|heap| heap.flags.as_raw() & 1 != 0);
        local.map(|heap| heap.size).max()
    }
}

#[cfg(not(any(target_os = "linux", target_os = "windows")))]
fn memory(_: &Adapter) -> Option<u64> {
    None
}
