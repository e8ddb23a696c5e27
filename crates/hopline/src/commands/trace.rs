//! `hopline trace`: one trace, as a tree for people or as OTLP for programs.

use std::io::{BufWriter, Write as _};
use std::process::ExitCode;

use hopline_processor::Outcomes;
use hopline_wire::TraceId;

use super::look::Look;
use super::outcome::{self, TraceRead};
use super::spool::Spool;
use crate::cli::Context;
use crate::cli::args::TraceArgs;
use crate::exit::{self, Failure};
use crate::render::{Style, duration, events, report};

/// What stands for the newest build's trace.
const LAST: &str = "last";

/// Shows a trace.
pub(crate) async fn trace(args: TraceArgs, context: Context) -> anyhow::Result<ExitCode> {
    let look = Look::open(&context.settings).await?;
    let read = read(&look, &args).await;
    look.close().await;
    match read? {
        Read::Trace(trace_id, outcomes, read) => {
            let style = context.out;
            match (args.path, args.json) {
                (true, true) => {
                    let path = serde_json::to_string(&outcome::path(&read))?;
                    writeln!(std::io::stdout().lock(), "{path}")?;
                }
                (path, _) => print(trace_id, outcomes.as_ref(), &read, (args.full, path), style)?,
            }
        }
        Read::Spool(spool) => {
            let mut out = BufWriter::new(std::io::stdout());
            spool.pour(&mut out)?;
            writeln!(out)?;
            out.flush()?;
        }
        Read::Printed => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// A trace that was looked at.
enum Read {
    /// To be shown to people, with how the events of its build have ended.
    Trace(TraceId, Option<Outcomes>, TraceRead),
    /// As OTLP in JSON.
    Spool(Spool),
    /// Likewise, and written out already: nobody had to wait for that.
    Printed,
}

async fn read(look: &Look, args: &TraceArgs) -> anyhow::Result<Read> {
    let trace_id = match args.id.to_ascii_lowercase().parse::<TraceId>() {
        Ok(trace_id) => trace_id,
        Err(_) => trace_of_build(look, &args.id).await?,
    };
    let none = || {
        let told =
            format!("there is no trace {trace_id}: it was not recorded, or its spans were removed");
        Failure::new(exit::NOT_FOUND, told)
    };
    let overview = look.overview(trace_id).await?.ok_or_else(none)?;
    if args.json && !args.path {
        if let Some(mut spool) = look.spool() {
            look.copy_trace(trace_id, &mut spool).await?;
            return Ok(Read::Spool(spool));
        }
        let mut out = BufWriter::new(std::io::stdout());
        look.copy_trace(trace_id, &mut out).await?;
        writeln!(out)?;
        out.flush()?;
        return Ok(Read::Printed);
    }
    let trace = look.trace(trace_id, outcome::limit(args.full)).await?;
    let build = look.build(&trace_id.to_string()).await?;
    let outcomes = build.and_then(|build| build.outcomes);
    Ok(Read::Trace(
        trace_id,
        outcomes,
        TraceRead { overview, trace },
    ))
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

fn print(
    trace_id: TraceId,
    outcomes: Option<&Outcomes>,
    read: &TraceRead,
    (full, path): (bool, bool),
    style: Style,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let overview = &read.overview;
    let mut facts = vec![
        format!("{} spans", overview.total),
        duration::nanos(overview.end.nanos_since(overview.start)),
        format!("began {}", overview.start),
    ];
    let counts = [
        (
            overview.errors,
            "failed",
            Style::bad as fn(Style, &str) -> String,
        ),
        (overview.pending, "unfinished", Style::warn),
        (overview.orphans, "without their parent", Style::warn),
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
    if let Some(outcomes) = outcomes {
        writeln!(out, "events: {}", events::by_outcome(outcomes, style))?;
    }
    match path {
        true => write!(out, "\n{}", report::path(&outcome::path(read), style)),
        false => outcome::write_trace(&mut out, read, full, style),
    }
}
