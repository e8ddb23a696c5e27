//! `hopline export`: the stored spans as a file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hopline_wire::Timestamp;

use super::look::Look;
use crate::cli::Context;
use crate::cli::exchange::{ExportArgs, SpanForm};
use crate::exit::{self, Failure};
use crate::parts::parquet;

/// What stands for standard output.
const STANDARD: &str = "-";

/// Writes spans.
pub(crate) async fn export(args: ExportArgs, context: Context) -> anyhow::Result<ExitCode> {
    let to_standard = args.file.as_os_str() == STANDARD;
    let is_parquet = args.file.extension().is_some_and(|end| end == "parquet");
    let usual = match is_parquet {
        true => SpanForm::Parquet,
        false => SpanForm::Otlp,
    };
    let form = args.format.unwrap_or(usual);
    if to_standard && form == SpanForm::Parquet {
        let told = "a Parquet file is written to a place of its own: expected the name of a file";
        return Err(Failure::new(exit::USAGE, told).into());
    }
    let began = began(&args, Timestamp::now());
    let look = Look::open(&context.settings).await?;
    let written = match (to_standard, form) {
        (true, _) => to_output(&look, &began).await.map(|()| None),
        (false, SpanForm::Otlp) => to_lines(&look, &began, &args.file).await.map(Some),
        (false, SpanForm::Parquet) => to_parquet(&look, &began, &args.file).await.map(Some),
    };
    look.close().await;
    if let Some(what) = written? {
        writeln!(io::stderr(), "wrote {what} to {}", args.file.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Within which time the spans began that are wanted.
fn began(args: &ExportArgs, now: Timestamp) -> Range<Timestamp> {
    let since = args.since.map(|period| {
        let nanos = u64::try_from(period.0.as_nanos()).unwrap_or(u64::MAX);
        Timestamp::from_nanos(now.as_nanos().saturating_sub(nanos))
    });
    let from = args.from.or(since).unwrap_or_default();
    from..args.to.unwrap_or(Timestamp::from_nanos(u64::MAX))
}

async fn to_output(look: &Look, began: &Range<Timestamp>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout());
    look.copy_spans(began, &mut out).await?;
    Ok(out.flush()?)
}

async fn to_lines(look: &Look, began: &Range<Timestamp>, path: &Path) -> anyhow::Result<String> {
    // It gets its name once it is whole.
    let part = Part::beside(path);
    let file = File::create(&part.0).map_err(|error| unwritten(path, &error))?;
    let mut out = Counted {
        out: BufWriter::new(file),
        lines: 0,
    };
    look.copy_spans(began, &mut out).await?;
    let file = out.out.into_inner().map_err(io::IntoInnerError::into_error);
    let named = file.and_then(|file| file.sync_all().and_then(|()| fs::rename(&part.0, path)));
    named.map_err(|error| unwritten(path, &error))?;
    Ok(format!("{} lines of OTLP", out.lines))
}

async fn to_parquet(look: &Look, began: &Range<Timestamp>, path: &Path) -> anyhow::Result<String> {
    let (mut lines, writing) = parquet::writer(path)?;
    let copied = look.copy_spans(began, &mut lines).await;
    let was_heard = match copied {
        Ok(()) => lines.end(),
        Err(_) => lines.abandon(),
    };
    let rows = tokio::task::spawn_blocking(move || writing.finish()).await?;
    match (copied, rows) {
        // It was the writing that failed first.
        (Err(_), Err(error)) if !was_heard => Err(error),
        (copied, rows) => copied.and_then(|()| Ok(format!("{} spans", rows?))),
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    let told = format!("write {}: {error}", path.display());
    Failure::new(exit::CANNOT_WRITE, told)
}

/// A file that is being written, removed unless it has got its name.
struct Part(PathBuf);

impl Part {
    fn beside(path: &Path) -> Self {
        let mut part = OsString::from(path);
        part.push(".part");
        Self(part.into())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Most often it has its name by now.
        let _ = fs::remove_file(&self.0);
    }
}

/// Counts lines on their way.
struct Counted<W> {
    out: W,
    lines: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        let ends = bytes[..written].iter().filter(|byte| **byte == b'\n');
        self.lines += ends.count() as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
