//! Step files: the steps of a build in TOML, as `hopline run --file` takes them.
//!
//! ```toml
//! prompt = "Test it"              # optional: what is asked, for people
//!
//! [[steps]]
//! name = "test"
//! run = "cargo test"              # a line for the shell, or a list: ["cargo", "test"]
//! cwd = "backend"                 # optional, inside the project
//! timeoutSeconds = 600            # optional
//! env = { RUST_BACKTRACE = "1" }  # optional
//! ```
//!
//! The members are those of a step in the command `start-build` (docs/wire.md). A mistake is answered with its
//! place and with what was expected there; a file is taken whole or not at all.

use std::collections::BTreeMap;
use std::ops::Range;

use hopline_wire::command::{CommandLine, Step};
use hopline_wire::part::PLAN_TOOL;
use serde::Deserialize;
use toml::{Spanned, Value};

/// The most steps of one build: each is a todo, and every change of the plan carries them all.
pub const MAX_STEPS: usize = 1_000;

/// What is wrong with a time limit that is none.
pub(crate) const BAD_TIMEOUT: &str = "expected timeoutSeconds to be a whole number from 1";

/// A mistake in a step file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct StepFileError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What was expected there.
    pub problem: String,
}

/// What a step file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFile {
    /// What is asked, for people.
    pub prompt: Option<String>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    prompt: Option<String>,
    steps: Spanned<Vec<Spanned<RawStep>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawStep {
    name: Spanned<String>,
    run: Spanned<Value>,
    #[serde(default)]
    env: BTreeMap<String, Spanned<Value>>,
    cwd: Option<String>,
    timeout_seconds: Option<Spanned<i64>>,
}

/// Reads a step file.
///
/// # Errors
/// [`StepFileError`], the first mistake.
pub fn parse(text: &str) -> Result<StepFile, StepFileError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let problem = error.message().trim_end().to_owned();
        mistake(text, &error.span().unwrap_or(0..0), problem)
    })?;
    let at_steps = file.steps.span();
    let raw = file.steps.into_inner();
    if raw.is_empty() || raw.len() > MAX_STEPS {
        let problem = format!("expected 1 to {MAX_STEPS} steps, each under [[steps]]");
        return Err(mistake(text, &at_steps, problem));
    }
    let steps: Result<_, _> = raw
        .into_iter()
        .map(|step| read_step(text, step.into_inner()))
        .collect();
    Ok(StepFile {
        prompt: file.prompt,
        steps: steps?,
    })
}

fn read_step(text: &str, raw: RawStep) -> Result<Step, StepFileError> {
    if let Err(problem) = check_name(raw.name.get_ref()) {
        return Err(mistake(text, &raw.name.span(), problem));
    }
    let run = command_line(raw.run.get_ref()).ok_or_else(|| {
        let problem = "expected run to be a line for the shell or a list of words, neither empty";
        mistake(text, &raw.run.span(), problem.to_owned())
    })?;
    let mut env = BTreeMap::new();
    for (name, value) in raw.env {
        let span = value.span();
        let value = scalar(value.into_inner()).ok_or_else(|| {
            let problem = format!("expected the variable {name} to be a text or a number");
            mistake(text, &span, problem)
        })?;
        env.insert(name, value);
    }
    let timeout_seconds = match raw.timeout_seconds {
        None => None,
        Some(seconds) => {
            let whole = u64::try_from(*seconds.get_ref())
                .ok()
                .filter(|seconds| *seconds > 0);
            Some(whole.ok_or_else(|| mistake(text, &seconds.span(), BAD_TIMEOUT.to_owned()))?)
        }
    };
    Ok(Step {
        name: raw.name.into_inner(),
        run,
        env,
        cwd: raw.cwd,
        timeout_seconds,
        more: Default::default(),
    })
}

fn command_line(run: &Value) -> Option<CommandLine> {
    match run {
        Value::String(line) if !line.trim().is_empty() => Some(CommandLine::Shell(line.clone())),
        Value::Array(words) => {
            let words: Option<Vec<String>> = words
                .iter()
                .map(|word| word.as_str().map(str::to_owned))
                .collect();
            words
                .filter(|words| words.first().is_some_and(|program| !program.is_empty()))
                .map(CommandLine::Argv)
        }
        _ => None,
    }
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Checks the steps of a command, which came as JSON and have no lines.
///
/// # Errors
/// What was expected of which step.
pub(crate) fn check(steps: &[Step]) -> Result<(), String> {
    if steps.is_empty() || steps.len() > MAX_STEPS {
        return Err(format!("expected 1 to {MAX_STEPS} steps"));
    }
    for (index, step) in steps.iter().enumerate() {
        let number = index + 1;
        check_name(&step.name).map_err(|problem| format!("step {number}: {problem}"))?;
        let empty = match &step.run {
            CommandLine::Shell(line) => line.trim().is_empty(),
            CommandLine::Argv(words) => words.first().is_none_or(String::is_empty),
        };
        if empty {
            return Err(format!("step {number}: expected run not to be empty"));
        }
        if step.timeout_seconds == Some(0) {
            return Err(format!("step {number}: {BAD_TIMEOUT}"));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    match name.trim() {
        "" => Err("expected name not to be empty".to_owned()),
        // A step's run is a call of the tool of its name, and this tool's calls are the plan.
        PLAN_TOOL => Err(format!("expected another name than {PLAN_TOOL}")),
        _ => Ok(()),
    }
}

fn mistake(text: &str, at: &Range<usize>, problem: String) -> StepFileError {
    let start = text.floor_char_boundary(at.start.min(text.len()));
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    StepFileError {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_the_steps_it_names_in_order() {
        let text = r#"
            prompt = "all of it"

            [[steps]]
            name = "build"
            run = "make all"

            [[steps]]
            name = "tést"
            run = ["make", "test"]
            cwd = "sub"
            timeoutSeconds = 5
            env = { A = "x", B = 2, C = true }
        "#;
        let file = parse(text).unwrap();
        assert_eq!(file.prompt.as_deref(), Some("all of it"));
        let steps = file.steps;
        assert_eq!(steps[0].run, CommandLine::Shell("make all".into()));
        assert_eq!(
            steps[1].run,
            CommandLine::Argv(vec!["make".into(), "test".into()])
        );
        assert_eq!(
            (steps[1].cwd.as_deref(), steps[1].timeout_seconds),
            (Some("sub"), Some(5))
        );
        let env: Vec<_> = steps[1].env.values().map(String::as_str).collect();
        assert_eq!(env, ["x", "2", "true"]);
        assert_eq!(check(&steps), Ok(()));
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_what_was_expected() {
        let cases = [
            ("[[steps]]\nname = 5\nrun = \"x\"", 2, 8, "string"),
            (
                "[[steps]]\nname = \"a\"\nrun = 5",
                3,
                7,
                "expected run to be",
            ),
            (
                "[[steps]]\nname = \"a\"\nrun = []",
                3,
                7,
                "expected run to be",
            ),
            ("[[steps]]\nname = \"a\"", 1, 1, "run"),
            (
                "[[steps]]\nname = \"a\"\nrun = \"x\"\ntimeout = 5",
                4,
                1,
                "timeout",
            ),
            (
                "[[steps]]\nname = \"a\"\nrun = \"x\"\ntimeoutSeconds = 0",
                4,
                18,
                "from 1",
            ),
            (
                "[[steps]]\nname = \"a\"\nrun = \"x\"\nenv = { A = [] }",
                4,
                13,
                "the variable A",
            ),
            (
                "[[steps]]\nname = \"TodoWrite\"\nrun = \"x\"",
                2,
                8,
                "another name",
            ),
            ("steps = []", 1, 9, "1 to 1000 steps"),
            ("[[steps]\n", 1, 9, "expected `]`"),
            ("", 1, 1, "steps"),
        ];
        for (text, line, column, problem) in cases {
            let error = parse(text).unwrap_err();
            assert_eq!(
                (error.line, error.column),
                (line, column),
                "{text:?}: {error}"
            );
            assert!(error.problem.contains(problem), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_commands_steps_obey_the_rules_of_a_files() {
        let step = |json| vec![serde_json::from_value::<Step>(json).unwrap()];
        for (json, problem) in [
            (serde_json::json!({"name": " ", "run": "x"}), "name"),
            (serde_json::json!({"name": "a", "run": [""]}), "run"),
            (
                serde_json::json!({"name": "a", "run": "x", "timeoutSeconds": 0}),
                "step 1: expected timeoutSeconds to be a whole number from 1",
            ),
        ] {
            let error = check(&step(json)).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn columns_count_characters() {
        let error = parse("a = \"éé\" x").unwrap_err();
        assert_eq!((error.line, error.column), (1, 10), "{error}");
    }
}
