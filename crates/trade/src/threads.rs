//! The threads and the instructions of the processor.

pub use trade_simd::InstructionSet;

use crate::{
    device::DeviceName,
    error::{Error, Result},
};

/// The vector instructions that the kernels of the processor run on: the widest it has, or fewer
/// where the environment variable `TRADE_SIMD` caps them (`avx512`, `avx2` or `portable`).
///
/// # Errors
/// If `TRADE_SIMD` holds another word.
pub fn instructions() -> Result<InstructionSet> {
    trade_simd::check_variable().map_err(Error::refused)?;
    Ok(InstructionSet::chosen())
}

/// Makes the calling thread, which must be the program's main one, a thread of rayon's pool, if the
/// device is the processor. A kernel called from outside the pool is handed to another thread, whose
/// caches hold nothing of what the kernel needs, and waits for it to wake up; a training step calls
/// hundreds.
///
/// Not for GPUs: their own threads must never wait for this one. Without effect if the pool is
/// there already.
pub fn join_pool(device: DeviceName) {
    if matches!(device, DeviceName::Flex | DeviceName::NdArray) {
        let pool = rayon::ThreadPoolBuilder::new().use_current_thread();
        // An error says that there is a pool.
        let _ = pool.build_global();
    }
}
