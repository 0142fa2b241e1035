//! Runs work with the widest vector instructions of the machine.

use crate::InstructionSet;

/// Work compiled once for each instruction set.
///
/// `run` and all it calls in the hot loop must be `#[inline(always)]`: only then is the body
/// compiled with the instructions of the entry function it ends up in.
pub trait Job {
    /// Does the work.
    fn run(self);
}

/// A function that runs a job with the instruction set in use.
macro_rules! dispatcher {
    ($(#[$doc:meta])* $name:ident, $wide:literal, $narrow:literal) => {
        $(#[$doc])*
        pub fn $name<J: Job>(job: J) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = $wide)]
                fn with_avx512<J: Job>(job: J) {
                    job.run();
                }

                #[target_feature(enable = $narrow)]
                fn with_avx2<J: Job>(job: J) {
                    job.run();
                }

                match InstructionSet::chosen() {
                    // SAFETY: a set is chosen only if each of its features was detected.
                    InstructionSet::Avx512 => return unsafe { with_avx512(job) },
                    // SAFETY: as above.
                    InstructionSet::Avx2 => return unsafe { with_avx2(job) },
                    InstructionSet::Portable => {}
                }
            }
            job.run();
        }
    };
}

dispatcher! {
    /// Runs the job with the widest instruction set that the machine has and
    /// [`VARIABLE`](crate::VARIABLE) allows, with fused multiply-adds for the products that ask for
    /// them.
    ///
    /// Arithmetic that does not ask for them is the same in all of them, to the last bit.
    widest,
    "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2",
    "avx2,fma,bmi1,bmi2"
}

dispatcher! {
    /// As [`widest`] without fused multiply-adds: a simulation is the same to the last bit on every
    /// machine only if no compiler may ever fuse a product and a sum.
    widest_unfused,
    "avx512f,avx512bw,avx512dq,avx512vl,avx2",
    "avx2"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lanes, Number, Real, Scalar};

    /// Runs `f32` lanes through every elementary function.
    struct Functions<'a> {
        x: &'a [f32],
        out: &'a mut Vec<u32>,
    }

    impl Job for Functions<'_> {
        #[inline(always)]
        fn run(self) {
            for chunk in self.x.chunks_exact(16) {
                let mut x = Lanes([0.0_f32; 16]);
                x.0.copy_from_slice(chunk);
                let l = x.logistic();
                let y = x * l.sigmoid + l.softplus / l.slope.sqrt()
                    - (Real::ln(x.abs()) * Real::exp(x));
                self.out.extend(y.0.map(f32::to_bits));
                let z = Scalar::exp(x) * Scalar::ln(x.square().offset(1.0)) + x.abs().angle_over(x);
                self.out.extend(z.0.map(f32::to_bits));
            }
        }
    }

    #[test]
    fn instruction_sets_agree_to_the_last_bit() {
        // A linear congruential generator, between −30 and 30.
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(0x1405_7B7E_F767_814F);
            (((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * 60.0) as f32
        };
        let x: Vec<f32> = (0..16_000).map(|_| next()).collect();
        let results = [0, 1, 2].map(|which| {
            let mut out = Vec::new();
            let job = Functions {
                x: &x,
                out: &mut out,
            };
            match which {
                0 => widest(job),
                1 => widest_unfused(job),
                _ => job.run(),
            }
            out
        });
        assert_eq!(results[0].len(), 2 * x.len());
        assert_eq!(results[0], results[2]);
        assert_eq!(results[1], results[2]);
    }
}
