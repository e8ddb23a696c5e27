//! `hopline query` and `hopline sql`: questions about the stored spans.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use hopline_traces::questions::{Answer, Language, Question, QuestionError};
use hopline_wire::Timestamp;

use super::look::Look;
use crate::cli::Context;
use crate::cli::questions::{AskingFlags, QueryArgs, SqlArgs};
use crate::exit::{self, Failure};
use crate::render::answer;

/// How many rows are shown where nothing is said: a page or two.
const SHOWN: u32 = 1_000;

/// What clears a terminal and goes to its beginning.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Answers a question in the query language.
pub(crate) async fn query(args: QueryArgs, context: Context) -> anyhow::Result<ExitCode> {
    ask(Language::Query, args.question, args.asking, context).await
}

/// Answers a question in SQL.
pub(crate) async fn sql(args: SqlArgs, context: Context) -> anyhow::Result<ExitCode> {
    ask(Language::Sql, args.statement, args.asking, context).await
}

async fn ask(
    language: Language,
    text: String,
    flags: AskingFlags,
    context: Context,
) -> anyhow::Result<ExitCode> {
    let limit = flags.limit.unwrap_or(SHOWN) as usize;
    loop {
        let question = Question {
            text: text.clone(),
            language,
            now: Timestamp::now(),
            limit,
        };
        let look = Look::open(&context.settings).await?;
        let answer = look.ask(&question).await;
        look.close().await;
        let answer = answer.map_err(|error| told(&text, error))?;
        let clear = flags.watch.is_some() && context.out.width().is_some();
        print(&answer, &flags, &context, clear)?;
        match &flags.watch {
            None => return Ok(ExitCode::SUCCESS),
            Some(every) => tokio::time::sleep(every.0.max(Duration::from_millis(100))).await,
        }
    }
}

fn print(
    answer: &Answer,
    flags: &AskingFlags,
    context: &Context,
    clear: bool,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if clear {
        write!(out, "{CLEAR}")?;
    }
    if flags.json {
        writeln!(out, "{}", serde_json::to_string(answer)?)?;
    } else if flags.csv {
        write!(out, "{}", answer.to_csv())?;
    } else {
        write!(out, "{}", answer::table(answer, context.out))?;
    }
    out.flush()?;
    Ok(())
}

/// A mistake with its place in the question, anything else as it is.
fn told(text: &str, error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<QuestionError>() {
        Ok(QuestionError::Mistake(mistake)) => {
            Failure::new(exit::USAGE, answer::mistake(text, &mistake)).into()
        }
        Ok(other) => Failure::new(exit::INTERNAL, other.to_string()).into(),
        Err(error) => error,
    }
}
