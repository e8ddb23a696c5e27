//! Words by their numbers: each is kept once, however many rows have it.

use std::borrow::Cow;

use hashbrown::HashMap;
use hopline_wire::text;

/// How much of a word is kept, in bytes. More is no name but a text, and a hundred thousand of those are not to be held.
const WORD_BYTES: usize = 256;

/// The words met so far.
#[derive(Default)]
pub(super) struct Words(HashMap<String, u32>);

impl Words {
    /// The number of a word.
    pub(super) fn number(&mut self, word: &str) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        *self.0.entry_ref(&*cut(word)).or_insert(next)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The words, numbered anew in the order in which `rows` have them, which get the new numbers. So what is stored in
    /// another order has the same words.
    pub(super) fn settle<'r>(self, rows: impl Iterator<Item = &'r mut u32>) -> Vec<Box<str>> {
        let mut words: Vec<Option<Box<str>>> = vec![None; self.0.len()];
        for (word, number) in self.0 {
            words[number as usize] = Some(word.into());
        }
        let mut settled = Vec::new();
        let mut numbers = vec![0; words.len()];
        for row in rows {
            let old = *row as usize;
            if let Some(word) = words[old].take() {
                numbers[old] = u32::try_from(settled.len()).unwrap_or(u32::MAX);
                settled.push(word);
            }
            *row = numbers[old];
        }
        settled
    }
}

/// A word as it is kept; what is cut off is told by an ellipsis.
pub(super) fn cut(word: &str) -> Cow<'_, str> {
    match text::prefix(word, WORD_BYTES) {
        whole if whole.len() == word.len() => Cow::Borrowed(word),
        prefix => Cow::Owned(format!("{prefix}…")),
    }
}
