//! The wish that the demo end, which wakes whoever waits.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Shared by all who tell it and all who obey it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    /// Wishes the end. There is no way back.
    pub fn tell(&self) {
        let (told, changed) = &*self.shared;
        // A flag is whole whatever happened to who held it.
        *told.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether the end was wished.
    pub fn is_told(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits for the wish, at most so long; whether it came.
    pub fn wait(&self, span: Duration) -> bool {
        let (told, changed) = &*self.shared;
        let guard = told.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, span, |told| !*told);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_wakes_who_waits_and_stays() {
        let stop = Stop::default();
        assert!(!stop.is_told());
        assert!(!stop.wait(Duration::from_millis(1)));
        let waiting = std::thread::spawn({
            let stop = stop.clone();
            move || stop.wait(Duration::from_secs(60))
        });
        stop.tell();
        assert!(waiting.join().unwrap());
        assert!(stop.is_told());
    }
}
