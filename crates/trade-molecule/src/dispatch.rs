//! Picks the widest vector instructions of the machine at run time.

/// Work compiled once for each instruction set.
///
/// `run` and all it calls in the hot loop must be `#[inline(always)]`: only then is the body
/// compiled with the instructions of the entry function it ends up in.
pub trait Job {
    /// Does the work.
    fn run(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
fn with_avx512<J: Job>(job: J) {
    job.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<J: Job>(job: J) {
    job.run();
}

/// Runs the job with the widest instruction set present: AVX-512, AVX2, or that of the build.
///
/// The arithmetic is the same in all of them, to the last bit.
pub fn widest<J: Job>(job: J) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
        {
            // SAFETY: every feature the function is compiled for has just been detected.
            return unsafe { with_avx512(job) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { with_avx2(job) };
        }
    }
    job.run();
}
