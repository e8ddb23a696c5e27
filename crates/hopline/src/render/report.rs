//! What a trace says besides its tree: the slowest spans, the share of each hop, the gaps.

use std::collections::HashMap;
use std::fmt::Write as _;

use hopline_telemetry::Hop;
use hopline_traces::path::{Arrivals, Path};
use hopline_wire::span::{Links, Span};
use hopline_wire::{SpanId, Timestamp, ops};

use super::table::{Align, Cell, Table};
use super::{Style, duration, plain};

/// How many of the slowest spans are told.
const SLOWEST: usize = 5;

/// How many gaps are told one by one.
const GAPS: usize = 10;

/// The spans with the most time of their own, which no child and no statement accounts for. The spans that
/// only enclose a build are left out.
pub(crate) fn slowest(spans: &[Span], style: Style) -> String {
    let own = own_times(spans);
    let encloses =
        |span: &&Span| [ops::HTTP_SERVER, ops::RUNNER_COMMAND, ops::BUILD].contains(&&*span.op);
    let mut ranked: Vec<_> = spans
        .iter()
        .filter(|span| !span.pending && !encloses(span))
        .map(|span| (own.get(&span.span_id).copied().unwrap_or_default(), span))
        .collect();
    ranked.sort_by_key(|(own, span)| (std::cmp::Reverse(*own), span.start));
    let columns = [
        ("slowest spans", Align::Left),
        ("own time", Align::Right),
        ("in all", Align::Right),
        ("", Align::Left),
    ];
    let mut table = Table::new(&columns, 0);
    for (own, span) in ranked.into_iter().take(SLOWEST) {
        let seq = span.event.as_ref().map_or(0, |keys| keys.seq);
        let event = match seq {
            0 => String::new(),
            seq => format!("#{seq}"),
        };
        table.row(vec![
            plain(&span.name.to_string()).into_owned().into(),
            duration::nanos(own).into(),
            duration::nanos(span.duration_nanos()).into(),
            Cell::painted(event, Style::name),
        ]);
    }
    table.render(style, 0)
}

/// Each hop's part of the events' time, waiting and work apart.
pub(crate) fn shares(path: &Path, style: Style) -> String {
    let columns = [
        ("hop", Align::Left),
        ("spans", Align::Right),
        ("p50", Align::Right),
        ("p95", Align::Right),
        ("max", Align::Right),
        ("waiting", Align::Right),
        ("work", Align::Right),
        ("share", Align::Right),
        ("", Align::Left),
    ];
    let mut table = Table::new(&columns, 0);
    let all: u64 = path.hops.iter().map(|hop| hop.own_nanos).sum();
    for hop in &path.hops {
        let mut remarks = Vec::new();
        if hop.errors > 0 {
            remarks.push(format!("{} failed", hop.errors));
        }
        if hop.pending > 0 {
            remarks.push(format!("{} unfinished", hop.pending));
        }
        table.row(vec![
            label(hop.op).into(),
            hop.count.to_string().into(),
            duration::nanos(hop.duration.p50_nanos).into(),
            duration::nanos(hop.duration.p95_nanos).into(),
            duration::nanos(hop.duration.max_nanos).into(),
            duration::nanos(hop.waiting_nanos).into(),
            duration::nanos(hop.working_nanos).into(),
            duration::share(hop.own_nanos, all).into(),
            Cell::painted(remarks.join(", "), Style::bad),
        ]);
    }
    table.render(style, 0)
}

/// The way of a trace's events: each hop's time, what lies between the hops, what is missing, whose clock was off.
pub(crate) fn path(path: &Path, style: Style) -> String {
    let mut out = format!("{}\n{}\n", shares(path, style), between(path, style));
    out.push_str(&gaps(&path.arrivals, style));
    match path.broken_parent_count {
        None => {
            let told = format!(
                "times are those of {} of {} spans; parents were not looked for",
                path.spans, path.total
            );
            let _ = writeln!(out, "{}", style.warn(&told));
        }
        Some(0) => out.push_str("every span has its parent\n"),
        Some(count) => {
            let told = format!("{count} without their parent");
            let _ = writeln!(out, "{}", style.bad(&told));
            for broken in path.broken_parents.iter().take(GAPS) {
                let _ = writeln!(
                    out,
                    "  {} {} of {}: no span {}",
                    style.bad("✘"),
                    plain(&broken.name),
                    plain(&broken.service),
                    broken.parent_id
                );
            }
            let more = count.saturating_sub(GAPS as u64);
            if more > 0 {
                let _ = writeln!(out, "  and {more} more");
            }
        }
    }
    for clock in &path.clocks {
        let way = if clock.offset_nanos < 0 {
            "behind"
        } else {
            "ahead of"
        };
        let _ = writeln!(
            out,
            "the clock of {} was {} {way} its broker's: corrected here",
            plain(&clock.instance),
            duration::nanos(clock.offset_nanos.unsigned_abs()),
        );
    }
    out
}

/// How long after the hop before it each hop began.
fn between(path: &Path, style: Style) -> String {
    let columns = [
        ("between the hops", Align::Left),
        ("p50", Align::Right),
        ("p95", Align::Right),
        ("max", Align::Right),
        ("in all", Align::Right),
    ];
    let mut table = Table::new(&columns, 0);
    for hop in &path.hops {
        let Some(reached) = &hop.reached_after else {
            continue;
        };
        table.row(vec![
            format!("until {}", label(hop.op)).into(),
            duration::nanos(reached.p50_nanos).into(),
            duration::nanos(reached.p95_nanos).into(),
            duration::nanos(reached.max_nanos).into(),
            duration::nanos(reached.total_nanos).into(),
        ]);
    }
    table.render(style, 0)
}

/// How many events went all the way, and which did not.
pub(crate) fn gaps(arrivals: &Arrivals, style: Style) -> String {
    let mut out = format!(
        "{} of {} traced events went all the way",
        arrivals.complete, arrivals.events
    );
    let others = [
        (arrivals.under_way, "under way"),
        (arrivals.failed, "failed"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(out, ", {count} {what}");
    }
    if arrivals.gap_count == 0 {
        out.push('\n');
        return out;
    }
    let _ = writeln!(
        out,
        ", {}",
        style.bad(&format!("{} lost", arrivals.gap_count))
    );
    for gap in arrivals.gaps.iter().take(GAPS) {
        let _ = writeln!(
            out,
            "  {} #{} {} of command {}: no {}",
            style.bad("✘"),
            gap.seq,
            plain(&gap.event_type),
            plain(&gap.command_id),
            gap.missing_hops(),
        );
    }
    let more = arrivals.gap_count.saturating_sub(GAPS as u64);
    if more > 0 {
        let _ = writeln!(out, "  and {more} more");
    }
    out
}

/// An op's hop, as the tree names it.
fn label(op: &str) -> &str {
    let hops = [
        Hop::SendEvent,
        Hop::ForwardEvent,
        Hop::ProcessEvent,
        Hop::PersistEvent,
        Hop::FinalizeSession,
        Hop::RefreshState,
        Hop::Broadcast,
    ];
    let named = hops.into_iter().find(|hop| hop.op() == op);
    match named {
        Some(hop) => hop.stem().trim_end_matches('.'),
        None if op == ops::DB_QUERY => "SQL statements",
        None => op,
    }
}

/// Each span's length less what its children and the spans that link it cover of it.
fn own_times(spans: &[Span]) -> HashMap<SpanId, u64> {
    let by_id: HashMap<SpanId, &Span> = spans.iter().map(|span| (span.span_id, span)).collect();
    let mut covered: HashMap<SpanId, Vec<(Timestamp, Timestamp)>> = HashMap::new();
    let mut cover = |id: SpanId, by: &Span| {
        if let Some(above) = by_id.get(&id) {
            let (start, end) = (by.start.max(above.start), by.end.min(above.end));
            if start < end {
                covered.entry(id).or_default().push((start, end));
            }
        }
    };
    for span in spans {
        if let Some(parent) = span.parent_id {
            cover(parent, span);
        }
        if let Links::SameTrace(ids) = &span.links {
            for id in ids.iter() {
                cover(*id, span);
            }
        }
    }
    let own = |span: &Span| {
        let mut parts = covered.remove(&span.span_id).unwrap_or_default();
        parts.sort_unstable();
        let mut until = span.start;
        let mut sum = 0;
        for (start, end) in parts {
            sum += end.nanos_since(start.max(until));
            until = until.max(end);
        }
        (span.span_id, span.duration_nanos().saturating_sub(sum))
    };
    spans.iter().map(own).collect()
}
