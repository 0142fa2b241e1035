//! The NVIDIA cards that CUDA finds.

use std::sync::Arc;

use crate::error::{Error, Result, bail};
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig};
use cudarc::{
    driver::{
        result::{device, init},
        sys,
    },
    nvrtc,
};

/// A card, by the number that `--device cuda:<number>` takes: its name and memory.
pub(super) fn all() -> Result<Vec<String>> {
    // The wrappers of both libraries panic where these are missing.
    // SAFETY: loading either library runs NVIDIA's own start-up code and nothing else.
    let (driver, compiler) = unsafe { (sys::is_culib_present(), nvrtc::sys::is_culib_present()) };
    if !driver {
        bail!(
            "no NVIDIA driver was found for cuda (its library libcuda); install the driver of your card"
        );
    }
    let failed = |error| Error::refused(format!("the NVIDIA driver does not start: {error:?}"));
    init().map_err(failed)?;
    let count = device::get_count().map_err(failed)?;
    if count == 0 {
        bail!("the NVIDIA driver found no card for cuda");
    }
    if !compiler {
        bail!(
            "NVIDIA's run-time compiler was not found for cuda (its library libnvrtc); install it \
             from the CUDA toolkit (of its Debian packages, cuda-nvrtc)"
        );
    }
    (0..count)
        .map(|number| {
            let card = device::get(number).map_err(failed)?;
            let name = device::get_name(card).map_err(failed)?;
            // SAFETY: `card` is what the driver just gave.
            let bytes = unsafe { device::total_mem(card) }.map_err(failed)?;
            Ok(format!("{name}: memory {}", super::gibibytes(bytes as u64)))
        })
        .collect()
}

/// Refuses a number that no usable card has.
pub(super) fn numbered(number: usize) -> Result<()> {
    let count = all()?.len();
    if number >= count {
        bail!(
            "there is no cuda:{number}, only cuda:0 to cuda:{}; `trade devices` lists them",
            count - 1
        );
    }
    Ok(())
}

/// Keeps compiled kernels on disk for later processes, unless a `cubecl.toml` names another place: compiling
/// those of one training step takes minutes.
pub(super) fn keep_kernels() {
    let mut config = CubeClRuntimeConfig::storage().lock();
    if config.is_none() {
        let mut found = CubeClRuntimeConfig::from_current_dir().override_from_env();
        (found.compilation.cache).get_or_insert(CacheConfig::Target);
        *config = Some(Arc::new(found));
    }
}
