//! `hopline up`: all parts in one process, until it is told to end.

use std::io::Write as _;
use std::process::ExitCode;

use hopline_runner::workspace::Workspace;

use super::known::known_to_server;
use super::signals;
use crate::api::ApiClient;
use crate::cli::Context;
use crate::data::DataFolder;
use crate::parts::house::{House, Listen};
use crate::parts::left;
use crate::parts::runner::{self, Identity};
use crate::parts::{Deadlines, within};

/// The name of the runner in this process, unless it is given another.
const RUNNER: &str = "local";

/// Runs everything.
pub(crate) async fn up(context: Context) -> anyhow::Result<ExitCode> {
    let settings = &context.settings;
    let data = DataFolder::at(settings.data_folder());
    let hold = data.hold()?;
    let listen = Listen {
        server: settings.listen,
        broker: Some(settings.broker_listen),
    };
    let house = House::start(settings, &data, hold, listen).await?;
    let projects = settings.projects_path();
    let name = settings.runner_id.as_deref().unwrap_or(RUNNER);
    let identity = Identity {
        id: name,
        broker_url: &house.broker_url().unwrap_or_default(),
        secret: house.secrets.runner.clone(),
        workspace: Workspace::new(&projects),
        alone: false,
        outboxes: settings.outboxes_path(),
    };
    let runner = match runner::start(settings, identity, &house.telemetry).await {
        Ok(runner) => runner,
        Err(error) => {
            house.close(Deadlines::SHORT).await.close().await;
            return Err(error);
        }
    };
    // A signal that comes while the runner connects ends all of it in order too.
    let api = ApiClient::new(&house.server_url(), house.secrets.admin.clone())?;
    let known = tokio::select! {
        known = known_to_server(&api, name, &runner) => known,
        wanted = signals::end_wanted() => {
            wanted?;
            return end(house, &runner).await;
        }
    };
    if let Err(error) = known {
        end(house, &runner).await?;
        return Err(error);
    }
    let broker_url = house.broker_url().unwrap_or_default();
    left::deliver(
        settings,
        &broker_url,
        &house.secrets.runner,
        &house.telemetry,
    )
    .await;
    let told = format!(
        "Hopline {}\n  server   {}\n  broker   {}\n  runner   {name}, its projects in {}\n  data     {}\n  sign in  {}  (once, within an hour)\nready",
        env!("CARGO_PKG_VERSION"),
        house.server_url(),
        house.broker_url().unwrap_or_default(),
        projects.display(),
        data.path().display(),
        house.server_side.server.one_time_link(),
    );
    writeln!(std::io::stdout(), "{told}")?;
    signals::end_wanted().await?;
    end(house, &runner).await
}

async fn end(house: House, runner: &hopline_runner::Handle) -> anyhow::Result<ExitCode> {
    let deadlines = Deadlines::USUAL;
    runner.shutdown(within(deadlines.intake)).await;
    house.close(deadlines).await.close().await;
    Ok(ExitCode::SUCCESS)
}
