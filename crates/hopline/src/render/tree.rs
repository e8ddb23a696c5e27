//! A trace's tree as lines: when each span began, how long it took, and where it stands.
//!
//! ```text
//!       at     took
//!     0 ns   310 ms  POST /api/projects/{id}/build  hopline-server
//!   4.1 ms   302 ms  └─ handleCommand.start-build  hopline-runner
//!   5.0 ms   2.1 ms     ├─ runner.sendEvent.build-stream #2
//! ```
//!
//! Statements that served several events stand under each of them: in a line of their own where their own
//! place is, in one line marked `⇢` elsewhere. In a trace of many events, runs of like siblings are folded
//! into one line that counts and sums them; the first few are shown, and each that failed, has not finished or
//! has lost its event. [`Folding::Full`] shows everything by itself.

use std::collections::HashMap;
use std::fmt::Write as _;

use hopline_telemetry::contract::keys;
use hopline_traces::path::Gap;
use hopline_traces::tree::{Entry, Place, Tree};
use hopline_wire::span::{Span, SpanName, SpanStatus, Value};
use hopline_wire::{Timestamp, ops};

use super::{Style, cut, duration, plain};

/// How runs of like siblings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folding {
    /// Each by itself.
    Full,
    /// Only as many as a person looks at.
    Folded,
}

/// Runs are folded in traces of more events than these.
const EVENTS: usize = 200;
/// A run is folded from this many siblings on.
const RUN: usize = 6;
/// How many of a run are shown first.
const FIRST: usize = 3;
/// How many of a run are shown because they need looking at.
const NOTABLE: usize = 5;
/// How many characters of an error's message are shown.
const MESSAGE: usize = 200;

/// The tree as text, a line for each span or run of spans.
pub(crate) fn render(tree: &Tree<'_>, gaps: &[Gap], folding: Folding, style: Style) -> String {
    let printer = Printer::new(tree, gaps, folding, style);
    printer.print()
}

struct Printer<'t> {
    tree: &'t Tree<'t>,
    entries: &'t [Entry],
    /// For each entry, the first one behind its subtree.
    ends: Vec<usize>,
    /// For each entry, the one that it stands under.
    parents: Vec<Option<usize>>,
    /// Whether an entry or one under it needs looking at.
    notable: Vec<bool>,
    lost: HashMap<(&'t str, u64), &'t Gap>,
    folding: Folding,
    fold_runs: bool,
    style: Style,
    start: Timestamp,
}

/// What stands between a line's times and its name.
#[derive(Clone, Default)]
struct Prefix {
    /// For lines below.
    below: String,
}

enum Item {
    Entry(usize),
    /// A folded run: like this entry, and how they sum up.
    Run(usize, Sum),
    /// Statements whose own place is elsewhere, in one line.
    Linked(Vec<usize>),
}

#[derive(Default)]
struct Sum {
    durations: Vec<u64>,
}

impl<'t> Printer<'t> {
    fn new(tree: &'t Tree<'t>, gaps: &'t [Gap], folding: Folding, style: Style) -> Self {
        let entries = tree.entries();
        let lost: HashMap<_, _> = gaps
            .iter()
            .map(|gap| ((&*gap.command_id, gap.seq), gap))
            .collect();
        let mut printer = Self {
            tree,
            entries,
            ends: vec![entries.len(); entries.len()],
            parents: vec![None; entries.len()],
            notable: vec![false; entries.len()],
            lost,
            folding,
            fold_runs: folding == Folding::Folded && events(tree) > EVENTS,
            style,
            start: tree.summary().start,
        };
        printer.measure();
        printer
    }

    /// Finds each entry's parent, its subtree's end and whether anything in that needs looking at, in one pass.
    fn measure(&mut self) {
        let mut open: Vec<usize> = Vec::new();
        for at in 0..=self.entries.len() {
            let depth = self.entries.get(at).map_or(0, |entry| entry.depth);
            while open
                .last()
                .is_some_and(|last| at == self.entries.len() || self.entries[*last].depth >= depth)
            {
                let Some(closed) = open.pop() else { break };
                self.ends[closed] = at;
                if let Some(parent) = open.last() {
                    self.notable[*parent] |= self.notable[closed];
                }
            }
            if let Some(entry) = self.entries.get(at) {
                self.notable[at] = self.is_notable(entry);
                self.parents[at] = open.last().copied();
                open.push(at);
            }
        }
    }

    fn is_notable(&self, entry: &Entry) -> bool {
        let span = self.tree.span(entry);
        let strange = matches!(entry.place, Place::Orphan | Place::Cycle);
        strange || span.pending || span.status.is_error() || self.gap(span).is_some()
    }

    fn gap(&self, span: &Span) -> Option<&'t Gap> {
        let keys = span.event.as_ref()?;
        self.lost.get(&(&*keys.command_id, keys.seq)).copied()
    }

    fn print(&self) -> String {
        let mut out = String::new();
        let heading = format!("{:>9} {:>9}", "at", "took");
        let _ = writeln!(out, "{}", self.style.dim(&heading));
        // What is still to be printed, the next last: an item, the prefix of its siblings, whether it is the last.
        let mut open: Vec<(Item, Prefix, bool)> = Vec::new();
        self.put_down(&mut open, 0, self.entries.len(), &Prefix::default());
        while let Some((item, prefix, is_last)) = open.pop() {
            let top = match &item {
                Item::Entry(at) | Item::Run(at, _) => self.entries[*at].depth == 0,
                Item::Linked(_) => false,
            };
            let (own, below) = match (top, is_last) {
                (true, _) => ("", ""),
                (false, true) => ("└─ ", "   "),
                (false, false) => ("├─ ", "│  "),
            };
            let drawn = format!("{}{own}", prefix.below);
            match item {
                Item::Run(at, sum) => self.run_line(&mut out, at, &sum, &drawn),
                Item::Linked(linked) => self.linked_line(&mut out, &linked, &drawn),
                Item::Entry(at) => {
                    self.entry_line(&mut out, at, &drawn);
                    let below = Prefix {
                        below: format!("{}{below}", prefix.below),
                    };
                    self.put_down(&mut open, at + 1, self.ends[at], &below);
                }
            }
        }
        out
    }

    /// Puts down the siblings that begin at `from` and end before `until`, the first on top.
    fn put_down(
        &self,
        open: &mut Vec<(Item, Prefix, bool)>,
        from: usize,
        until: usize,
        prefix: &Prefix,
    ) {
        let mut siblings = Vec::new();
        let mut at = from;
        while at < until {
            siblings.push(at);
            at = self.ends[at];
        }
        let items = match self.folding {
            Folding::Full => siblings.into_iter().map(Item::Entry).collect(),
            Folding::Folded => self.fold(&siblings),
        };
        let count = items.len();
        for (index, item) in items.into_iter().enumerate().rev() {
            open.push((item, prefix.clone(), index + 1 == count));
        }
    }

    fn fold(&self, siblings: &[usize]) -> Vec<Item> {
        let entry = |at: &usize| &self.entries[*at];
        let name = |at: &usize| -> &SpanName { &self.tree.span(entry(at)).name };
        let linked = |at: &usize| entry(at).place == Place::Linked;
        let like = |a: &usize, b: &usize| {
            linked(a) == linked(b) && (linked(a) || (self.fold_runs && name(a) == name(b)))
        };
        let mut items = Vec::new();
        for run in siblings.chunk_by(like) {
            if run.iter().all(linked) {
                items.push(Item::Linked(run.to_vec()));
            } else if run.len() < RUN {
                items.extend(run.iter().copied().map(Item::Entry));
            } else {
                self.fold_run(run, &mut items);
            }
        }
        items
    }

    fn fold_run(&self, run: &[usize], items: &mut Vec<Item>) {
        let mut notable = 0;
        let mut rest: Option<(usize, Sum)> = None;
        for (index, at) in run.iter().enumerate() {
            let shown = index < FIRST || (self.notable[*at] && notable < NOTABLE);
            if shown {
                notable += usize::from(index >= FIRST);
                items.extend(rest.take().map(|(like, sum)| Item::Run(like, sum)));
                items.push(Item::Entry(*at));
            } else {
                let (_, sum) = rest.get_or_insert_with(|| (*at, Sum::default()));
                let span = self.tree.span(&self.entries[*at]);
                sum.durations.push(span.duration_nanos());
            }
        }
        items.extend(rest.map(|(like, sum)| Item::Run(like, sum)));
    }

    /// The longest first, so that a narrow terminal cuts what matters least.
    fn linked_line(&self, out: &mut String, linked: &[usize], drawn: &str) {
        let spans = linked.iter().map(|at| self.tree.span(&self.entries[*at]));
        let mut spans: Vec<_> = spans.collect();
        spans.sort_by_key(|span| std::cmp::Reverse(span.duration_nanos()));
        let failed = spans.iter().any(|span| span.status.is_error());
        let each = spans.iter().map(|span| {
            let took = duration::nanos(span.duration_nanos());
            format!("{} {took}", plain(&span.name.to_string()))
        });
        let blank = format!("{:>9} {:>9}", "", "");
        let text = format!("{drawn}⇢ {}", each.collect::<Vec<_>>().join(", "));
        let room = self
            .style
            .width()
            .map_or(usize::MAX, |width| width.saturating_sub(21));
        let text = cut(&text, room);
        let text = match failed {
            true => self.style.bad(&text),
            false => self.style.dim(&text),
        };
        let _ = writeln!(out, "{blank}  {text}");
    }

    fn run_line(&self, out: &mut String, like: usize, sum: &Sum, drawn: &str) {
        let span = self.tree.span(&self.entries[like]);
        let mut durations = sum.durations.clone();
        durations.sort_unstable();
        let total: u64 = durations.iter().sum();
        let p50 = durations
            .get(durations.len().div_ceil(2) - 1)
            .copied()
            .unwrap_or_default();
        let max = durations.last().copied().unwrap_or_default();
        let at = duration::nanos(span.start.nanos_since(self.start));
        let text = format!(
            "… {} more {}: total {}, p50 {}, max {}",
            durations.len(),
            plain(&span.name.to_string()),
            duration::nanos(total),
            duration::nanos(p50),
            duration::nanos(max),
        );
        let _ = writeln!(
            out,
            "{}  {}{}",
            self.style.dim(&format!("{at:>9} {:>9}", "")),
            self.style.dim(drawn),
            self.style.dim(&text),
        );
    }

    fn entry_line(&self, out: &mut String, at: usize, drawn: &str) {
        let entry = &self.entries[at];
        let span = self.tree.span(entry);
        let style = self.style;
        let began = duration::nanos(span.start.nanos_since(self.start));
        let took = if span.pending {
            style.warn(&format!("{:>9}", "running"))
        } else {
            format!("{:>9}", duration::nanos(span.duration_nanos()))
        };
        let name = span.name.to_string();
        let name = plain(&name);
        let name = match (entry.place, &span.status) {
            (_, SpanStatus::Error(_)) => style.bad(&name),
            (Place::Linked, _) => style.dim(&format!("⇢ {name}")),
            _ if entry.depth == 0 => style.bold(&name),
            _ => name.into_owned(),
        };
        let mut line = format!(
            "{} {took}  {}{name}",
            style.dim(&format!("{began:>9}")),
            style.dim(drawn)
        );
        self.remarks(&mut line, at);
        out.push_str(line.trim_end());
        out.push('\n');
    }

    /// What there is to say of a span behind its name.
    fn remarks(&self, line: &mut String, at: usize) {
        let entry = &self.entries[at];
        let span = self.tree.span(entry);
        let style = self.style;
        let seq = seq_of(span);
        let parent = self.parents[at].map(|parent| self.tree.span(&self.entries[parent]));
        if seq > 0 && parent.is_none_or(|parent| seq_of(parent) != seq) {
            let _ = write!(line, " {}", style.name(&format!("#{seq}")));
        }
        let mut quiet = Vec::new();
        if self.is_new_service(at) {
            quiet.push(plain(&span.resource.service()).into_owned());
        }
        let rows = number(span, keys::BATCH_SIZE).filter(|rows| *rows >= 1.0);
        quiet.extend(rows.map(|rows| match rows {
            1.0 => "1 row".to_owned(),
            rows => format!("{rows:.0} rows"),
        }));
        let shared = number(span, keys::SHARED_BY).filter(|by| *by > 1.0);
        quiet.extend(shared.map(|by| format!("shared by {by:.0} traces")));
        let waited = number(span, keys::QUEUE_WAIT_MS).filter(|ms| *ms >= 0.1);
        quiet.extend(waited.map(|ms| format!("waited {}", duration::nanos(to_nanos(ms)))));
        let retries = span
            .events
            .iter()
            .filter(|event| &*event.name == keys::RETRY)
            .count();
        if retries > 0 {
            quiet.push(format!("{retries} retries"));
        }
        if !quiet.is_empty() {
            let _ = write!(line, "  {}", style.dim(&quiet.join(", ")));
        }
        self.warnings(line, entry, span);
    }

    fn warnings(&self, line: &mut String, entry: &Entry, span: &Span) {
        let style = self.style;
        if span.pending {
            let _ = write!(line, "  {}", style.warn("unfinished"));
        }
        match entry.place {
            Place::Orphan => {
                let told = match self.tree.is_part() {
                    true => "its parent is not shown",
                    false => "its parent is missing",
                };
                let _ = write!(line, "  {}", style.warn(told));
            }
            Place::Cycle => {
                let _ = write!(line, "  {}", style.warn("its own ancestor"));
            }
            _ => {}
        }
        if let SpanStatus::Error(message) = &span.status {
            let message = cut(message, MESSAGE);
            let _ = write!(line, "  {} {}", style.bad("✘"), style.bad(&plain(&message)));
        }
        if entry.place != Place::Linked
            && let Some(gap) = self.gap(span)
        {
            let missing = gap.missing_hops();
            let _ = write!(line, "  {}", style.bad(&format!("✘ lost: no {missing}")));
        }
    }

    /// Whether the span comes from another service than the one it stands under.
    fn is_new_service(&self, at: usize) -> bool {
        let entry = &self.entries[at];
        if entry.place == Place::Linked {
            return false;
        }
        let parent = self.parents[at].map(|parent| &self.entries[parent]);
        let service = |entry: &Entry| self.tree.span(entry).resource.service();
        parent.is_none_or(|parent| service(parent) != service(entry))
    }
}

/// How many events the trace has.
fn events(tree: &Tree<'_>) -> usize {
    let entries = tree.entries().iter();
    let spans = entries.map(|entry| tree.span(entry));
    spans.filter(|span| &*span.op == ops::EVENT_SEND).count()
}

/// The number of the event that a span is a hop of; 0 if it is none.
fn seq_of(span: &Span) -> u64 {
    span.event.as_ref().map_or(0, |keys| keys.seq)
}

/// A numeric attribute.
fn number(span: &Span, key: &str) -> Option<f64> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| &*attribute.key == key)?;
    match &found.value {
        Value::Double(value) => Some(*value),
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts and milliseconds are small"
        )]
        Value::Int(value) => Some(*value as f64),
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and three digits are shown"
)]
fn to_nanos(millis: f64) -> u64 {
    (millis * 1e6) as u64
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
