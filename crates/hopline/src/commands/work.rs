//! What `run` and `build` are asked to do: out of flags and files, a request for a build.

use std::fs;
use std::path::{Path, PathBuf};

use hopline_runner::stepfile;
use hopline_wire::command::CommandLine;

use crate::api::types::BuildRequest;
use crate::cli::args::WorkArgs;
use crate::exit::{self, Failure};

/// The file of steps that is taken where none is named and no command is given.
const USUAL_FILE: &str = "hopline-steps.toml";

/// The request for a build that the arguments describe. Files are read before anything is started.
///
/// # Errors
/// A [`Failure`] that says what is wrong, with the place in a file.
pub(crate) fn request(work: &WorkArgs, current: &Path) -> anyhow::Result<BuildRequest> {
    if !work.command.is_empty() {
        return command(work);
    }
    let usual = PathBuf::from(USUAL_FILE);
    let file = match &work.file {
        Some(file) => file,
        None if current.join(&usual).is_file() => &usual,
        None => {
            return Err(mistake(
                "nothing to run: give a command after --, or a file of steps with --file",
            ));
        }
    };
    if let Some(agent) = work.agent.as_deref().filter(|agent| *agent != "steps") {
        return Err(mistake(&format!(
            "the agent {agent} runs a command: give it after --"
        )));
    }
    steps(work, file, current)
}

fn command(work: &WorkArgs) -> anyhow::Result<BuildRequest> {
    let agent = work.agent.as_deref().unwrap_or("command");
    if agent == "steps" {
        return Err(mistake(
            "the agent steps runs a file of steps: give it with --file",
        ));
    }
    let command = CommandLine::Argv(work.command.clone());
    Ok(BuildRequest {
        agent: agent.to_owned(),
        prompt: work.prompt.clone().unwrap_or_else(|| command.to_string()),
        command: Some(command),
        secrets: work.secrets.clone(),
        ..BuildRequest::default()
    })
}

fn steps(work: &WorkArgs, file: &Path, current: &Path) -> anyhow::Result<BuildRequest> {
    let text = fs::read_to_string(current.join(file))
        .map_err(|error| mistake(&format!("read the steps in {}: {error}", file.display())))?;
    let read = stepfile::parse(&text)
        .map_err(|error| mistake(&format!("read the steps in {}: {error}", file.display())))?;
    let shown = || file.display().to_string();
    Ok(BuildRequest {
        agent: "steps".to_owned(),
        prompt: work.prompt.clone().or(read.prompt).unwrap_or_else(shown),
        steps: Some(read.steps),
        secrets: work.secrets.clone(),
        ..BuildRequest::default()
    })
}

fn mistake(text: &str) -> anyhow::Error {
    Failure::new(exit::USAGE, text).into()
}
