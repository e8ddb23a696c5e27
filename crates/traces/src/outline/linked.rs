//! Work that was done for several at once, such as a statement of a group commit: a span is the child of the first that it
//! was done for, and linked to the others. A tree shows it under each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use hopline_wire::SpanId;
use hopline_wire::span::{Links, Span};
use serde::Serialize;

/// How many links of a span are followed: far more than a group commit has builds.
pub(super) const LINKS_OF_SPAN: usize = 256;

/// Spans that stand under others beside their own parent. The statements of a group have all the same others.
#[derive(Debug, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Linked {
    /// Their rows.
    spans: Vec<i32>,
    /// The rows that they stand under.
    under: Vec<i32>,
}

/// What a span is linked to in its own trace: the first of it.
pub(super) fn links_of(span: &Span) -> Option<Arc<[SpanId]>> {
    let ids: Arc<[SpanId]> = match &span.links {
        Links::None => return None,
        Links::SameTrace(ids) if ids.len() <= LINKS_OF_SPAN => Arc::clone(ids),
        Links::SameTrace(ids) => ids[..LINKS_OF_SPAN].into(),
        Links::Any(links) => {
            let own = links.iter().filter(|link| link.trace_id == span.trace_id);
            let ids = own.map(|link| link.span_id);
            ids.take(LINKS_OF_SPAN).collect()
        }
    };
    (!ids.is_empty()).then_some(ids)
}

/// Where linked spans stand; each is given by its row, its parent's, and what it is linked to.
pub(super) fn linked<'r>(
    links: impl IntoIterator<Item = (i32, Option<i32>, &'r [SpanId])>,
    row_of: impl Fn(SpanId) -> Option<i32>,
) -> Vec<Linked> {
    let mut groups: BTreeMap<Vec<i32>, Vec<i32>> = BTreeMap::new();
    for (row, parent, ids) in links {
        let rows = ids.iter().filter_map(|id| row_of(*id));
        let mut under: Vec<i32> = rows
            .filter(|other| *other != row && Some(*other) != parent)
            .collect();
        under.sort_unstable();
        under.dedup();
        if !under.is_empty() {
            groups.entry(under).or_default().push(row);
        }
    }
    let mut all: Vec<Linked> = groups
        .into_iter()
        .map(|(under, mut spans)| {
            spans.sort_unstable();
            Linked { spans, under }
        })
        .collect();
    all.sort_unstable_by(|a, b| a.spans.cmp(&b.spans));
    all
}
