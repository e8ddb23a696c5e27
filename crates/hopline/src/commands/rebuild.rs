//! `hopline rebuild`: folds logs again, tells what differs, and puts it right if asked.

use std::io::{self, Write};
use std::process::ExitCode;

use hopline_processor::rebuild::{Difference, Report, Verdict};

use super::look::Look;
use crate::cli::Context;
use crate::cli::args::RebuildArgs;
use crate::exit::{self, Failure};
use crate::render::{Style, plain};

/// How many differences of a build are shown to people; programs get more.
const SHOWN: usize = 20;

/// Folds the log of one build or of all of them again.
pub(crate) async fn rebuild(args: RebuildArgs, context: Context) -> anyhow::Result<ExitCode> {
    let look = Look::open(&context.settings).await?;
    let rebuilt = read(&args, &look, &context).await;
    look.close().await;
    let reports = rebuilt?;
    let mut out = io::stdout().lock();
    for report in &reports {
        if args.json {
            writeln!(out, "{}", serde_json::to_string(report)?)?;
        } else if !args.all || report.verdict != Verdict::Same {
            show(&mut out, report, context.out)?;
        }
    }
    if args.all && !args.json {
        writeln!(out, "{}", summary(&reports))?;
    }
    Ok(code(&reports, args.all))
}

async fn read(args: &RebuildArgs, look: &Look, context: &Context) -> anyhow::Result<Vec<Report>> {
    let scratch = context.settings.scratch_path();
    let Some(id) = &args.session else {
        let mut reports = Vec::new();
        for id in look.all_builds().await? {
            // One that was deleted meanwhile is none.
            reports.extend(look.rebuild(&id, &scratch, args.write).await?);
        }
        return Ok(reports);
    };
    let none = || Failure::new(exit::NOT_FOUND, format!("there is no build {id:?}"));
    let session = look.build(id).await?.ok_or_else(none)?.session_id;
    let report = look.rebuild(&session, &scratch, args.write).await?;
    Ok(vec![report.ok_or_else(none)?])
}

fn show(out: &mut impl Write, report: &Report, style: Style) -> io::Result<()> {
    let events = format!("{} events", report.events);
    let places = format!("rows differ in {} places", report.difference_count);
    let missing = report.missing_from.unwrap_or_default();
    let said = match report.verdict {
        Verdict::Same => style.good(&format!("every row is what its {events} make it")),
        Verdict::Differs => style.bad(&format!("{places} from what its {events} make them")),
        Verdict::Repaired => style.warn(&format!("{places}, put right from its {events}")),
        Verdict::LogRemoved => {
            style.warn("its log was removed, so nobody can say; nothing was changed")
        }
        Verdict::LogIncomplete => style.bad(&format!(
            "event {missing} is missing in its log, so nobody can say; nothing was changed"
        )),
        Verdict::MovedOn => style
            .warn("it goes on too quickly to be compared; nothing was changed: try again later"),
    };
    writeln!(out, "session {}: {said}", report.session_id)?;
    for difference in report.differences.iter().take(SHOWN) {
        show_difference(out, difference)?;
    }
    let more = report.difference_count.saturating_sub(SHOWN as u64);
    if more > 0 {
        writeln!(out, "  and {more} more")?;
    }
    Ok(())
}

fn show_difference(out: &mut impl Write, difference: &Difference) -> io::Result<()> {
    let Difference {
        table,
        key,
        column,
        found,
        expected,
    } = difference;
    write!(out, "  {} [{}]", plain(table), plain(key))?;
    match (column, found, expected) {
        (Some(column), ..) => {
            writeln!(out, " {}", plain(column))?;
            let value = |value: &Option<String>| match value {
                Some(value) => plain(value).into_owned(),
                None => "(null)".to_owned(),
            };
            writeln!(out, "    found     {}", value(found))?;
            writeln!(out, "    expected  {}", value(expected))
        }
        (None, Some(row), _) => writeln!(out, " should not be there: {}", plain(row)),
        (None, None, row) => {
            let row = row.as_deref().unwrap_or_default();
            writeln!(out, " is missing: {}", plain(row))
        }
    }
}

fn summary(reports: &[Report]) -> String {
    let of = |verdict| {
        let same = reports.iter().filter(|report| report.verdict == verdict);
        same.count()
    };
    let counts = [
        (of(Verdict::Same), "as the log says"),
        (of(Verdict::Differs), "differ"),
        (of(Verdict::Repaired), "put right"),
        (of(Verdict::LogRemoved), "without a log"),
        (of(Verdict::LogIncomplete), "with a hole in the log"),
        (of(Verdict::MovedOn), "too quick to be compared"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let said: Vec<_> = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let builds = reports.len();
    match said.is_empty() {
        true => "no builds".to_owned(),
        false => format!("{builds} builds: {}", said.join(", ")),
    }
}

/// What the program ends with. That a build cannot be checked is no answer to whoever asked for it; of all builds, some
/// are too old and some run.
fn code(reports: &[Report], all: bool) -> ExitCode {
    let is = |verdict| reports.iter().any(|report| report.verdict == verdict);
    if is(Verdict::Differs) || is(Verdict::LogIncomplete) {
        ExitCode::from(exit::DIFFERS)
    } else if is(Verdict::LogRemoved) && !all {
        ExitCode::from(exit::NOT_FOUND)
    } else if is(Verdict::MovedOn) && !all {
        ExitCode::from(exit::TAKEN)
    } else {
        ExitCode::SUCCESS
    }
}
