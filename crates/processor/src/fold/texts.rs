//! Where the texts that were last written to end: a few of them, so that the state stays small.

use std::sync::Arc;

use hopline_state::store::LastPart;
use hopline_wire::part::TextKind;
use serde::{Deserialize, Serialize};

/// How many texts are remembered. Agents interleave a handful.
const REMEMBERED: usize = 32;

/// The ends of texts, the longest untouched first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Texts {
    ends: Vec<End>,
    /// Whether any text was ever forgotten. Until then one that is not remembered is new.
    forgot: bool,
}

/// A text, and where it ends. Kept short, since it is written with every commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    #[serde(rename = "k")]
    is_reasoning: bool,
    #[serde(rename = "i")]
    id: Arc<str>,
    #[serde(rename = "p")]
    part: u32,
    #[serde(rename = "b")]
    bytes: usize,
}

/// Only the text's row can say where it ends.
#[derive(Debug)]
pub(super) struct Forgotten;

impl Texts {
    /// A memory that knows nothing of a build that has texts.
    pub(super) const fn forgotten() -> Self {
        Self {
            ends: Vec::new(),
            forgot: true,
        }
    }

    /// Where a text ends; none if it is new.
    pub(super) fn end_of(&self, kind: TextKind, id: &str) -> Result<Option<LastPart>, Forgotten> {
        match self.ends.iter().rev().find(|end| end.is(kind, id)) {
            Some(end) => Ok(Some(LastPart {
                part: end.part,
                bytes: end.bytes,
            })),
            None if self.forgot => Err(Forgotten),
            None => Ok(None),
        }
    }

    /// Where the texts that are remembered end.
    pub(super) fn ends(&self) -> impl Iterator<Item = (TextKind, &Arc<str>, LastPart)> + '_ {
        self.ends.iter().map(|end| {
            let kind = match end.is_reasoning {
                true => TextKind::Reasoning,
                false => TextKind::Text,
            };
            let (part, bytes) = (end.part, end.bytes);
            (kind, &end.id, LastPart { part, bytes })
        })
    }

    /// Whether both remember as many texts, and forgot others or did not.
    pub(super) fn as_many_as(&self, other: &Self) -> bool {
        self.ends.len() == other.ends.len() && self.forgot == other.forgot
    }

    /// Remembers where a text ends; forgets the one that was longest untouched if there is no room.
    pub(super) fn put(&mut self, kind: TextKind, id: &Arc<str>, end: LastPart) {
        if let Some(place) = self.ends.iter().position(|there| there.is(kind, id)) {
            self.ends.remove(place);
        } else if self.ends.len() == REMEMBERED {
            self.ends.remove(0);
            self.forgot = true;
        }
        self.ends.push(End {
            is_reasoning: kind == TextKind::Reasoning,
            id: Arc::clone(id),
            part: end.part,
            bytes: end.bytes,
        });
    }
}

impl End {
    fn is(&self, kind: TextKind, id: &str) -> bool {
        self.is_reasoning == (kind == TextKind::Reasoning) && *self.id == *id
    }
}
