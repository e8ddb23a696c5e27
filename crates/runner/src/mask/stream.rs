//! Masking a text that comes in pieces.

use super::{MARK, Mask};

/// Masks one text piece by piece.
pub(crate) struct StreamMask {
    mask: Mask,
    /// The end of what came: it may be the beginning of a secret.
    held: String,
    /// How much of it belongs to a secret whose mark was given already.
    given: usize,
}

impl StreamMask {
    pub(super) const fn new(mask: Mask) -> Self {
        Self {
            mask,
            held: String::new(),
            given: 0,
        }
    }

    /// Takes the next piece; gives what can be told by now.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        let end = self.mask.open_end(&self.held);
        self.give(end)
    }

    /// Gives what was held, as the text ends here. Another may begin.
    pub(crate) fn end(&mut self) -> String {
        self.give(self.held.len())
    }

    /// Gives the text up to `end`.
    fn give(&mut self, end: usize) -> String {
        let mut out = String::with_capacity(end);
        let mut at = self.given;
        for part in self.mask.secret_parts(&self.held) {
            // One that overlaps what was marked already belongs to it.
            if part.start < at {
                at = at.max(part.end);
                continue;
            }
            if part.start >= end {
                break;
            }
            out.push_str(&self.held[at..part.start]);
            out.push_str(MARK);
            at = part.end;
        }
        if at < end {
            out.push_str(&self.held[at..end]);
        }
        self.given = at.saturating_sub(end);
        self.held.drain(..end);
        out
    }
}
