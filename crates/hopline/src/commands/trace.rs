//! `hopline trace`: one trace, as a tree for people or as OTLP for programs.

use std::io::Write as _;
use std::process::ExitCode;

use hopline_traces::tree::Tree;
use hopline_wire::TraceId;
use hopline_wire::otlp;
use hopline_wire::span::Span;

use super::look::Look;
use super::outcome;
use crate::cli::Context;
use crate::cli::args::TraceArgs;
use crate::exit::{self, Failure};
use crate::render::tree::Folding;
use crate::render::{Style, duration};

/// What stands for the newest build's trace.
const LAST: &str = "last";

/// Shows a trace.
pub(crate) async fn trace(args: TraceArgs, context: Context) -> anyhow::Result<ExitCode> {
    let look = Look::open(&context.settings).await?;
    let found = find(&look, &args.id).await;
    look.close().await;
    let (trace_id, spans) = found?;
    if spans.is_empty() {
        let told =
            format!("there is no trace {trace_id}: it was not recorded, or its spans were removed");
        return Err(Failure::new(exit::NOT_FOUND, told).into());
    }
    print(&args, trace_id, &spans, context.out)?;
    Ok(ExitCode::SUCCESS)
}

/// The trace that is meant, and its spans.
async fn find(look: &Look, id: &str) -> anyhow::Result<(TraceId, Vec<Span>)> {
    let trace_id = match id.parse::<TraceId>() {
        Ok(trace_id) => trace_id,
        Err(_) => trace_of_build(look, id).await?,
    };
    Ok((trace_id, look.trace(trace_id).await?))
}

async fn trace_of_build(look: &Look, id: &str) -> anyhow::Result<TraceId> {
    let build = match id {
        LAST => look.builds(None, None, 1).await?.into_iter().next(),
        id => look.build(id).await?,
    };
    let build = build.ok_or_else(|| {
        let told = match id {
            LAST => "there are no builds yet".to_owned(),
            id => format!("there is no build {id:?}, and a trace id has 32 hexadecimal digits"),
        };
        Failure::new(exit::NOT_FOUND, told)
    })?;
    let untraced = || Failure::new(exit::NOT_FOUND, "the build has no trace".to_owned());
    Ok(build.trace_id.ok_or_else(untraced)?)
}

fn print(args: &TraceArgs, trace_id: TraceId, spans: &[Span], style: Style) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if args.json {
        out.write_all(&otlp::encode_json(&otlp::to_request(spans)))?;
        return writeln!(out);
    }
    let summary = Tree::build(spans).summary();
    let mut facts = vec![
        format!("{} spans", summary.spans),
        duration::nanos(summary.end.nanos_since(summary.start)),
        format!("began {}", summary.start),
    ];
    let counts = [
        (
            summary.errors,
            "failed",
            Style::bad as fn(Style, &str) -> String,
        ),
        (summary.pending, "unfinished", Style::warn),
        (summary.orphans, "without their parent", Style::warn),
    ];
    for (count, what, paint) in counts.into_iter().filter(|(count, ..)| *count > 0) {
        facts.push(paint(style, &format!("{count} {what}")));
    }
    writeln!(
        out,
        "trace {}: {}",
        style.name(&trace_id.to_string()),
        facts.join(", ")
    )?;
    let folding = if args.full {
        Folding::Full
    } else {
        Folding::Folded
    };
    outcome::write_trace(&mut out, spans, folding, style)
}
