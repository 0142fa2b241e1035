//! Picks the widest vector instructions of the machine at run time.

/// Work compiled once for each instruction set.
///
/// `run` and all it calls in the hot loop must be `#[inline(always)]`: only then is the body
/// compiled with the instructions of the entry function it ends up in.
pub(super) trait Job {
    /// Does the work.
    fn run(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2")]
fn with_avx512<J: Job>(job: J) {
    job.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2")]
fn with_avx2<J: Job>(job: J) {
    job.run();
}

/// Runs the job with the widest instruction set present: AVX-512, AVX2, or that of the build.
///
/// The arithmetic is the same in all of them, to the last bit.
pub(super) fn widest<J: Job>(job: J) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
        {
            // SAFETY: every feature the function is compiled for has just been detected.
            return unsafe { with_avx512(job) };
        }
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
        {
            // SAFETY: as above.
            return unsafe { with_avx2(job) };
        }
    }
    job.run();
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Lanes;
    use super::super::noise::uniform;
    use super::super::real::Real;
    use super::*;

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
                let y = x * l.sigmoid + l.softplus / l.slope.sqrt() - (x.abs().ln() * x.exp());
                self.out.extend(y.0.map(f32::to_bits));
            }
        }
    }

    #[test]
    fn instruction_sets_agree_to_the_last_bit() {
        let x: Vec<f32> = uniform(16_000, 1, 60.0).iter().map(|x| *x as f32).collect();
        let (mut wide, mut plain) = (Vec::new(), Vec::new());
        widest(Functions {
            x: &x,
            out: &mut wide,
        });
        Functions {
            x: &x,
            out: &mut plain,
        }
        .run();
        assert_eq!(wide.len(), x.len());
        assert_eq!(wide, plain);
    }
}
