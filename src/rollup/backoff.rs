//! How long a loop waits after steps that failed: longer after each one in a row, up to a limit.
use std::time::Duration;

/// What a loop remembers of the failures since its last success.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    step: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits for `step` after the first failure, for twice that after the second, and never for longer than `max`.
    pub(super) fn new(step: Duration, max: Duration) -> Self {
        Self { step, max, failures: 0 }
    }

    /// One more failure: how many there are in a row, and how long to wait.
    pub(super) fn failed(&mut self) -> (u32, Duration) {
        self.failures = self.failures.saturating_add(1);
        (self.failures, self.step.saturating_mul(self.failures).min(self.max))
    }

    /// A success: how many failures it ends, if any.
    pub(super) fn ended(&mut self) -> Option<u32> {
        let failures = std::mem::take(&mut self.failures);
        (failures > 0).then_some(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_in_a_row_is_waited_longer_for_and_a_success_ends_them() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second * 2, second * 5);
        assert_eq!(backoff.ended(), None);
        for _ in 0..2 {
            assert_eq!(backoff.failed(), (1, second * 2));
            assert_eq!(backoff.failed(), (2, second * 4));
            assert_eq!(backoff.failed(), (3, second * 5));
            assert_eq!(backoff.ended(), Some(3));
        }
        assert_eq!(backoff.ended(), None);
    }
}
