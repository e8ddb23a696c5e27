//! `hopline builds`: a table of builds, the newest first.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;

use hopline_wire::Timestamp;
use serde_json::json;

use super::look::Look;
use crate::api::types::{Build, Project};
use crate::cli::Context;
use crate::cli::args::BuildsArgs;
use crate::exit::{self, Failure};
use crate::render::table::{Align, Cell, Table};
use crate::render::{Style, duration, plain};

/// Lists builds.
pub(crate) async fn builds(args: BuildsArgs, context: Context) -> anyhow::Result<ExitCode> {
    let look = Look::open(&context.settings).await?;
    let read = read(&args, &look).await;
    look.close().await;
    let (projects, builds) = read?;
    print(&args, &context, &projects, &builds)?;
    Ok(ExitCode::SUCCESS)
}

async fn read(args: &BuildsArgs, look: &Look) -> anyhow::Result<(Vec<Project>, Vec<Build>)> {
    let projects = look.projects().await?;
    let project = match &args.project {
        Some(name) => Some(named(&projects, name)?),
        None => None,
    };
    let builds = look
        .builds(args.status.as_deref(), project, args.limit)
        .await?;
    Ok((projects, builds))
}

fn print(
    args: &BuildsArgs,
    context: &Context,
    projects: &[Project],
    builds: &[Build],
) -> std::io::Result<()> {
    let names: HashMap<_, _> = projects
        .iter()
        .map(|project| (project.id.as_str(), project.name.as_str()))
        .collect();
    let name = |build: &Build| {
        names
            .get(build.project_id.as_str())
            .copied()
            .unwrap_or("(deleted)")
            .to_owned()
    };
    let now = Timestamp::now();
    let mut out = std::io::stdout().lock();
    if args.json {
        for build in builds {
            writeln!(out, "{}", line(build, &name(build), now))?;
        }
        return Ok(());
    }
    if builds.is_empty() {
        writeln!(out, "no builds")?;
        return Ok(());
    }
    let columns = [
        ("status", Align::Left),
        ("project", Align::Left),
        ("duration", Align::Right),
        ("events", Align::Right),
        ("exit", Align::Right),
        ("started", Align::Left),
        ("trace", Align::Left),
    ];
    let mut table = Table::new(&columns, 1);
    for build in builds {
        table.row(vec![
            status(build),
            plain(&name(build)).into_owned().into(),
            duration::nanos(build.duration_nanos(now)).into(),
            build.last_seq.to_string().into(),
            build
                .exit_code
                .map_or_else(String::new, |code| code.to_string())
                .into(),
            build.started_at.to_string().into(),
            build
                .trace_id
                .map_or_else(String::new, |id| id.to_string())
                .into(),
        ]);
    }
    write!(out, "{}", table.render(context.out, 0))?;
    Ok(())
}

fn named<'p>(projects: &'p [Project], name: &str) -> anyhow::Result<&'p Project> {
    let by = |same: fn(&Project, &str) -> bool| projects.iter().find(|project| same(project, name));
    by(|project, name| project.id == name)
        .or_else(|| by(|project, name| project.name == name))
        .or_else(|| by(|project, name| project.slug == name))
        .ok_or_else(|| {
            Failure::new(exit::NOT_FOUND, format!("there is no project {name:?}")).into()
        })
}

fn status(build: &Build) -> Cell {
    let paint = match build.status.as_str() {
        "completed" => Style::good,
        "failed" => Style::bad,
        _ => Style::warn,
    };
    let mut text = build.status.clone();
    if build.incomplete {
        text.push_str(" (incomplete)");
    }
    Cell::painted(text, paint)
}

fn line(build: &Build, project: &str, now: Timestamp) -> serde_json::Value {
    json!({
        "status": build.status,
        "final": build.is_final,
        "incomplete": build.incomplete,
        "project": project,
        "projectId": build.project_id,
        "sessionId": build.session_id,
        "buildId": build.build_id,
        "commandId": build.command_id,
        "agent": build.agent_id,
        "exitCode": build.exit_code,
        "error": build.error_message,
        "traceId": build.trace_id,
        "events": build.last_seq,
        "durationMs": build.duration_nanos(now) / 1_000_000,
        "startedAt": build.started_at,
        "endedAt": build.ended_at,
    })
}
