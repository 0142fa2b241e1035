//! How often a costly likelihood is evaluated, and where that ends.

/// A count of evaluations with a bound.
pub(super) struct Calls {
    count: Box<dyn Fn() -> u64>,
    /// Evaluations before `base` was read off the count.
    before: u64,
    base: u64,
    most: Option<u64>,
    /// The count when the last step or judgement ended.
    last: u64,
    /// What the costliest step took but for the first one, which may fill a pool; none before the second.
    step: Option<u64>,
    begun: bool,
}

impl Calls {
    pub(super) fn new(count: impl Fn() -> u64 + 'static, before: u64, most: Option<u64>) -> Self {
        Self {
            last: count(),
            count: Box::new(count),
            before,
            base: 0,
            most,
            step: None,
            begun: false,
        }
    }

    /// All evaluations so far.
    pub(super) fn used(&self) -> u64 {
        self.before + (self.count)().saturating_sub(self.base)
    }

    /// Goes on from the count of a checkpoint.
    pub(super) fn resume(&mut self, used: u64) {
        (self.before, self.base) = (used, (self.count)());
        (self.last, self.begun) = (self.base, false);
    }

    /// Notes the end of a step.
    pub(super) fn stepped(&mut self) {
        let taken = (self.count)().saturating_sub(self.last);
        if self.begun {
            self.step = self.step.max(Some(taken));
        }
        (self.begun, self.last) = (true, self.last + taken);
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
        // A step that costs nothing may always be taken.
        let step = self.step.unwrap_or(u64::from(self.used() >= most));
        (step > 0 && !self.fit(step)).then(|| {
            let used = self.used();
            format!("the likelihood was evaluated {used} times, and {most} are allowed")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;

    #[test]
    fn a_step_like_the_costliest_one_must_fit() {
        let total = Rc::new(Cell::new(0_u64));
        let count = total.clone();
        let mut calls = Calls::new(move || count.get(), 50, Some(1000));
        let step = |calls: &mut Calls, cost| {
            total.set(total.get() + cost);
            calls.stepped();
        };
        // The first step fills a pool.
        step(&mut calls, 700);
        assert!(calls.exhausted().is_none());
        step(&mut calls, 0);
        step(&mut calls, 100);
        assert!(calls.used() == 850 && calls.exhausted().is_none());
        assert!(calls.fit(150) && !calls.fit(151));
        step(&mut calls, 100);
        let said = calls.exhausted().unwrap();
        assert!(
            said.contains("950 times") && said.contains("1000"),
            "{said}"
        );
        calls.resume(300);
        assert!(calls.used() == 300 && calls.exhausted().is_none());
        let free = Calls::new(|| 7, 0, None);
        assert!(free.used() == 7 && free.exhausted().is_none() && free.fit(u64::MAX - 7));
    }
}
