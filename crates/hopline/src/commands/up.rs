//! `hopline up`: all parts in one process, until it is told to end.

use std::process::ExitCode;

use hopline_runner::workspace::Workspace;

use super::apart::ready;
use super::known::known_to_server;
use super::signals::EndSignals;
use super::target;
use crate::api::ApiClient;
use crate::cli::Context;
use crate::cli::args::ReadyFlags;
use crate::data::DataFolder;
use crate::parts::house::{House, Listen};
use crate::parts::left;
use crate::parts::runner::{self, Identity};
use crate::parts::{Deadlines, within};

/// The name of the runner in this process, unless it is given another.
const RUNNER: &str = "local";

/// Runs everything.
pub(crate) async fn up(shown: ReadyFlags, context: Context) -> anyhow::Result<ExitCode> {
    let settings = &context.settings;
    let data = DataFolder::at(settings.data_folder());
    let hold = target::take(&data).await?;
    let listen = Listen {
        server: settings.listen,
        grpc: settings.grpc_listen,
        broker: Some(settings.broker_listen),
    };
    let house = House::start(settings, &data, hold, listen).await?;
    let projects = settings.projects_path();
    let outboxes = settings.outboxes_path();
    let name = settings.runner_id.as_deref().unwrap_or(RUNNER);
    let identity = Identity {
        id: name,
        broker_url: &house.broker_url().unwrap_or_default(),
        secret: house.secrets.runner.clone(),
        workspace: Workspace::new(&projects),
        one_build: false,
        alone: false,
        outboxes: outboxes.clone(),
    };
    let runner = match runner::start(settings, identity, &house.telemetry).await {
        Ok(runner) => runner,
        Err(error) => {
            house.close(Deadlines::SHORT).await.close().await;
            return Err(error);
        }
    };
    // A signal that comes while the runner connects ends all of it in order too.
    let mut signals = EndSignals::listen()?;
    let broker_url = house.broker_url().unwrap_or_default();
    let api = ApiClient::new(&house.server_url(), house.secrets.admin.clone())?;
    let known = tokio::select! {
        known = known_to_server(&api, name, &runner, &broker_url) => known,
        () = signals.next() => return end(house, &runner, &mut signals).await,
    };
    if let Err(error) = known {
        end(house, &runner, &mut signals).await?;
        return Err(error);
    }
    let left = left::deliver(
        settings,
        &outboxes,
        &broker_url,
        &house.secrets.runner,
        &house.telemetry,
    );
    tokio::select! {
        () = left => {}
        () = signals.next() => return end(house, &runner, &mut signals).await,
    }
    let link = house.server_side.server.one_time_link();
    let mut facts = vec![("server", house.server_url())];
    facts.extend(house.grpc_url().map(|url| ("grpc", url)));
    facts.extend([
        ("broker", broker_url),
        ("runner", name.to_owned()),
        ("projects", projects.display().to_string()),
        ("data", data.path().display().to_string()),
        ("signIn", link),
    ]);
    ready(&shown, &facts)?;
    signals.next().await;
    end(house, &runner, &mut signals).await
}

async fn end(
    house: House,
    runner: &hopline_runner::Handle,
    signals: &mut EndSignals,
) -> anyhow::Result<ExitCode> {
    let deadlines = Deadlines::USUAL;
    let stop = async {
        runner.shutdown(within(deadlines.intake)).await;
        house.close(deadlines).await.close().await;
    };
    signals.while_stopping(stop).await?;
    Ok(ExitCode::SUCCESS)
}
