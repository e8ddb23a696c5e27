//! Holding off whoever guesses: after a few wrong secrets each further one doubles the wait, for all.
//! Those who have a cookie, a Bearer secret or a one-time link are not held off.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// This many wrong secrets cost nothing.
const FREE: u32 = 5;

/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Counts wrong secrets.
#[derive(Default)]
pub(super) struct Throttle {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wrong: u32,
    closed_until: Option<Instant>,
}

impl Throttle {
    /// Tries `secret` unless it is too early, which is told with the seconds to wait; a right one ends the
    /// waiting.
    pub(super) fn attempt(&self, now: Instant, secret: impl FnOnce() -> bool) -> Result<bool, u32> {
        let mut state = self.state.lock();
        if let Some(until) = state.closed_until.filter(|until| *until > now) {
            let wait = (until - now).as_secs() + 1;
            return Err(u32::try_from(wait).unwrap_or(u32::MAX));
        }
        if secret() {
            *state = State::default();
            return Ok(true);
        }
        state.wrong = state.wrong.saturating_add(1);
        if state.wrong >= FREE {
            let wait = Duration::from_secs(1 << (state.wrong - FREE).min(6)).min(MAX_WAIT);
            state.closed_until = Some(now + wait);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_is_slowed_down_and_a_right_secret_ends_that() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        for _ in 0..FREE {
            assert_eq!(throttle.attempt(now, || false), Ok(false));
        }
        assert!(throttle.attempt(now, || true).is_err(), "even a right one");
        now += Duration::from_secs(2);
        assert_eq!(throttle.attempt(now, || false), Ok(false));
        assert!(
            throttle
                .attempt(now + Duration::from_secs(1), || true)
                .is_err()
        );
        now += MAX_WAIT;
        assert_eq!(throttle.attempt(now, || true), Ok(true));
        assert_eq!(throttle.attempt(now, || false), Ok(false));
        assert_eq!(throttle.attempt(now, || true), Ok(true));
    }
}
