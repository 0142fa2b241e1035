//! How often a costly likelihood is evaluated, and where that ends.

/// How much of the costliest step is remembered a step later: the first one may fill a pool.
const FORGET: f64 = 0.99;

/// A count of evaluations with a bound.
pub(super) struct Calls {
    count: Box<dyn Fn() -> u64>,
    /// Evaluations before `base` was read off the count.
    before: u64,
    base: u64,
    most: Option<u64>,
    /// The count when the last step or judgement ended.
    last: u64,
    /// What a costly step takes, of the recent ones.
    step: f64,
}

impl Calls {
    pub(super) fn new(count: impl Fn() -> u64 + 'static, before: u64, most: Option<u64>) -> Self {
        Self {
            last: count(),
            count: Box::new(count),
            before,
            base: 0,
            most,
            step: 0.0,
        }
    }

    /// All evaluations so far.
    pub(super) fn used(&self) -> u64 {
        self.before + (self.count)().saturating_sub(self.base)
    }

    /// Goes on from the count of a checkpoint.
    pub(super) fn resume(&mut self, used: u64) {
        (self.before, self.base) = (used, (self.count)());
        self.last = self.base;
    }

    /// Notes the end of a step.
    pub(super) fn stepped(&mut self) {
        let taken = (self.count)() - self.last;
        self.step = (FORGET * self.step).max(taken as f64);
        self.last += taken;
    }

    /// Notes the end of a judgement.
    pub(super) fn judged(&mut self) {
        self.last = (self.count)();
    }

    /// Whether so many more evaluations are allowed.
    pub(super) fn fit(&self, more: u64) -> bool {
        self.most.is_none_or(|most| self.used() + more <= most)
    }

    /// A sentence if another step like the costliest one may exceed the bound.
    pub(super) fn exhausted(&self) -> Option<String> {
        let most = self.most?;
        let used = self.used();
        // A step that costs nothing may always be taken.
        let ends = self.step >= 1.0 && !self.fit(self.step as u64);
        ends.then(|| {
            format!(
                "the likelihood was evaluated {used} times, a step may take {:.0} more, and {most} are allowed",
                self.step
            )
        })
    }
}
