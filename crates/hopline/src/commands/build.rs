//! `hopline build`: asks a running server for a build on one of its runners, and follows it.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;

use super::outcome::Outcome;
use super::run::settled_trace;
use super::signals::Wishes;
use super::{target, work};
use crate::cli::Context;
use crate::cli::args::BuildArgs;
use crate::follow::{self, Followed};
use crate::render::progress::{Progress, Stream};

/// Asks for a build and follows it.
pub(crate) async fn build(args: BuildArgs, context: Context) -> anyhow::Result<ExitCode> {
    let mut request = work::request(&args.work, &context.current)?;
    request.runner_id = args.runner;
    let mut wishes = Wishes::listen().context("listen for Ctrl-C")?;
    let target = target::require(&context.settings);
    // The server does not end with its own build while this one is followed.
    let target = wishes.or_interrupted(target).await??;
    let api = &target.api;
    let project = api.find_or_create_project(&args.project);
    let project = wishes.or_interrupted(project).await??;
    let started = api.start_build(&project.id, &request);
    let started = wishes.or_left(started).await??;
    let (stream, style) = match args.work.json {
        true => (Stream::Err, context.err),
        false => (Stream::Out, context.out),
    };
    let mut progress = Progress::new(stream, style);
    let followed = follow::follow(api, &project.id, &started, &mut wishes, &mut progress).await?;
    drop(progress);
    let Followed::Ended(ending) = followed else {
        // Whoever closed standard error does not want to know.
        let _ = writeln!(
            std::io::stderr(),
            "the build goes on without being followed: look at it with: hopline trace {}",
            started.trace_id
        );
        return Ok(ExitCode::from(crate::exit::INTERRUPTED));
    };
    let read = settled_trace(api, &started, args.work.json, args.work.full);
    let read = wishes.or_interrupted(read).await??;
    drop(target);
    let outcome = Outcome {
        started: &started,
        ending: &ending,
        project: &project.name,
        trace: read.as_ref(),
    };
    outcome.print(args.work.json, args.work.full, &context)?;
    Ok(outcome.exit_code())
}
