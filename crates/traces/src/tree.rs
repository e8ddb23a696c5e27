//! A trace as a tree, for people to look at.
//!
//! The tree is a list in the order in which it is printed, each entry with its depth, so that neither
//! building nor walking nor writing it recurses: a trace of others may be a chain of any length. It takes
//! any spans: parents that are missing, ids that come twice, spans that are each other's parents.
//!
//! A span that links other spans of its trace, as a statement of a group commit links the events that it
//! served, stands under its parent, and again, by reference, under each span that it links.

use std::collections::HashMap;

use hopline_wire::span::{Links, Span};
use hopline_wire::{SpanId, Timestamp, TraceId};

pub(crate) mod json;

#[cfg(test)]
mod tests;

/// Why an entry stands where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// It has no parent.
    Root,
    /// It stands under its parent.
    Child,
    /// Its parent is not in the trace, or not yet, or not in the part of it that was read.
    Orphan,
    /// It stands under a span that it links; its own place is elsewhere, and so are its children.
    Linked,
    /// Its ancestors are its descendants. Among these it was the first to begin.
    Cycle,
}

/// One line of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// How many entries it stands under; 0 for roots.
    pub depth: usize,
    /// Why it stands there.
    pub place: Place,
    /// Its span: an index of the spans that the tree was built from.
    pub span: usize,
    /// How many entries stand directly under it, linked ones included.
    pub children: usize,
}

/// A tree of spans. Serializes as `GET /api/traces/{id}?format=tree` answers it.
#[derive(Debug)]
pub struct Tree<'a> {
    spans: &'a [Span],
    entries: Vec<Entry>,
    total: u64,
}

/// What a tree says of its trace in one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many spans there are.
    pub spans: usize,
    /// How many of them failed.
    pub errors: usize,
    /// How many of them have not finished.
    pub pending: usize,
    /// How many of them miss their parent.
    pub orphans: usize,
    /// When the first began.
    #[serde(skip)]
    pub start: Timestamp,
    /// When the last ended.
    #[serde(skip)]
    pub end: Timestamp,
}

impl<'a> Tree<'a> {
    /// Builds the tree of a trace's spans. The time it takes grows with the number of spans and links.
    #[must_use]
    pub fn build(spans: &'a [Span]) -> Self {
        Self::of_part(spans, spans.len() as u64)
    }

    /// Builds the tree of some spans of a trace that has `total`.
    #[must_use]
    pub fn of_part(spans: &'a [Span], total: u64) -> Self {
        let family = Family::of(spans);
        let mut walk = Walk {
            family: &family,
            entries: Vec::with_capacity(spans.len()),
            seen: vec![false; spans.len()],
        };
        let mut tops = family.tops.clone();
        tops.sort_by_key(|(span, _)| order(&spans[*span]));
        for (span, place) in tops {
            walk.from(span, place);
        }
        // What no root leads to goes in circles.
        let mut rest: Vec<usize> = (0..spans.len()).filter(|span| !walk.seen[*span]).collect();
        rest.sort_by_key(|span| order(&spans[*span]));
        for span in rest {
            if !walk.seen[span] {
                walk.from(span, Place::Cycle);
            }
        }
        Self {
            spans,
            entries: walk.entries,
            total,
        }
    }

    /// Whether the trace has spans that the tree has not.
    #[must_use]
    pub const fn is_part(&self) -> bool {
        (self.spans.len() as u64) < self.total
    }

    /// The lines, from the top.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The span of a line of this tree.
    #[must_use]
    pub fn span(&self, entry: &Entry) -> &'a Span {
        &self.spans[entry.span]
    }

    /// The trace; none if there are no spans.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        self.spans.first().map(|span| span.trace_id)
    }

    /// The figures of the spans that the tree was built from.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let count =
            |condition: fn(&Span) -> bool| self.spans.iter().filter(|s| condition(s)).count();
        let orphans = self.entries.iter().filter(|e| e.place == Place::Orphan);
        let starts = self.spans.iter().map(|span| span.start);
        let ends = self.spans.iter().map(|span| span.end.max(span.start));
        Summary {
            spans: self.spans.len(),
            errors: count(|span| span.status.is_error()),
            pending: count(|span| span.pending),
            orphans: orphans.count(),
            start: starts.min().unwrap_or_default(),
            end: ends.max().unwrap_or_default(),
        }
    }
}

fn order(span: &Span) -> (Timestamp, SpanId) {
    (span.start, span.span_id)
}

/// Who stands under whom.
struct Family {
    /// Children, and spans that link it, for each span.
    under: Vec<Vec<(usize, Place)>>,
    /// Roots and orphans.
    tops: Vec<(usize, Place)>,
}

impl Family {
    fn of(spans: &[Span]) -> Self {
        let mut by_id: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
        for (index, span) in spans.iter().enumerate() {
            // Of spans with the same id, the first has the children.
            by_id.entry(span.span_id).or_insert(index);
        }
        let mut family = Self {
            under: vec![Vec::new(); spans.len()],
            tops: Vec::new(),
        };
        for (index, span) in spans.iter().enumerate() {
            match span.parent_id.map(|parent| by_id.get(&parent)) {
                None => family.tops.push((index, Place::Root)),
                Some(None) => family.tops.push((index, Place::Orphan)),
                Some(Some(parent)) => family.under[*parent].push((index, Place::Child)),
            }
            family.add_links(index, span, &by_id);
        }
        for under in &mut family.under {
            under.sort_by_key(|(child, _)| order(&spans[*child]));
        }
        family
    }

    fn add_links(&mut self, index: usize, span: &Span, by_id: &HashMap<SpanId, usize>) {
        let mut link = |id: SpanId| {
            let linked = by_id.get(&id).copied();
            let elsewhere = |linked: &usize| *linked != index && span.parent_id != Some(id);
            if let Some(linked) = linked.filter(elsewhere) {
                self.under[linked].push((index, Place::Linked));
            }
        };
        match &span.links {
            Links::None => {}
            Links::SameTrace(ids) => ids.iter().for_each(|id| link(*id)),
            Links::Any(links) => links
                .iter()
                .filter(|other| other.trace_id == span.trace_id)
                .for_each(|other| link(other.span_id)),
        }
    }
}

struct Walk<'a> {
    family: &'a Family,
    entries: Vec<Entry>,
    seen: Vec<bool>,
}

impl Walk<'_> {
    /// Appends a span and all that stands under it.
    fn from(&mut self, span: usize, place: Place) {
        let mut open = vec![(span, place, 0)];
        while let Some((span, place, depth)) = open.pop() {
            let is_reference = place == Place::Linked;
            if !is_reference && std::mem::replace(&mut self.seen[span], true) {
                // The circle closes here.
                continue;
            }
            let under = if is_reference {
                &[][..]
            } else {
                &self.family.under[span]
            };
            self.entries.push(Entry {
                depth,
                place,
                span,
                children: under.len(),
            });
            // The last to be put down is the first to be taken up.
            let below = under.iter().rev();
            open.extend(below.map(|(child, place)| (*child, *place, depth + 1)));
        }
    }
}
