//! The ids of the commands that were taken up.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// How many ids are remembered. A server sends a command again for a minute at most.
pub(super) const REMEMBERED: usize = 8_192;

/// The last ids, oldest first.
#[derive(Default)]
pub(super) struct Seen {
    ids: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl Seen {
    /// Remembers an id; false if it is known.
    pub(super) fn insert(&mut self, id: &str) -> bool {
        if self.ids.contains(id) {
            return false;
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        let id: Arc<str> = id.into();
        self.order.push_back(Arc::clone(&id));
        self.ids.insert(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_and_the_oldest_is_forgotten_first() {
        let mut seen = Seen::default();
        assert!(seen.insert("first"));
        assert!(!seen.insert("first"));
        for number in 0..REMEMBERED {
            assert!(seen.insert(&number.to_string()));
        }
        assert!(!seen.insert("0"));
        assert!(seen.insert("first"));
        assert_eq!(seen.ids.len(), REMEMBERED);
    }
}
