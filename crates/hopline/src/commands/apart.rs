//! `hopline server`, `hopline broker`, `hopline runner`: the parts on their own, each until it is told to end.
//!
//! On one machine they find each other by the data folder: its lock file names the server, and its secrets are
//! theirs. On several machines addresses and secrets are settings.

use std::io::Write as _;
use std::process::ExitCode;

use hopline_runner::workspace::Workspace;

use super::credentials::{Credentials, Peer};
use super::{signals, target};
use crate::cli::Context;
use crate::data::DataFolder;
use crate::parts::house::{House, Listen};
use crate::parts::runner::{self, Identity};
use crate::parts::telemetry::{Relay, Telemetry};
use crate::parts::{Deadlines, broker as broker_part, within};
use crate::settings::BROKER_PORT;

/// Runs the server with its processor and stores.
pub(crate) async fn server(context: Context) -> anyhow::Result<ExitCode> {
    let settings = &context.settings;
    let data = DataFolder::at(settings.data_folder());
    let hold = data.hold()?;
    let listen = Listen {
        server: settings.listen,
        broker: None,
    };
    let house = House::start(settings, &data, hold, listen).await?;
    ready(&format!(
        "  server   {}\n  data     {}\n  sign in  {}  (once, within an hour)",
        house.server_url(),
        data.path().display(),
        house.server_side.server.one_time_link(),
    ))?;
    signals::end_wanted().await?;
    house.close(Deadlines::USUAL).await.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Runs a broker.
pub(crate) async fn broker(context: Context) -> anyhow::Result<ExitCode> {
    let settings = &context.settings;
    let peer = settings.server.as_ref().map_or(Peer::Found, Peer::Server);
    let secret = Credentials::read(settings)?.runner(peer)?;
    let server_url = match &settings.server {
        Some(server) => server.to_string(),
        None => target::require(settings).await?.api.base().to_owned(),
    };
    let relay = Relay {
        base: server_url.clone(),
        secret: secret.clone(),
        instead: false,
    };
    let telemetry = Telemetry::start(settings, None, Some(relay))?;
    let listen = settings.broker_listen;
    let broker = broker_part::start(settings, listen, &server_url, secret, &telemetry).await?;
    let address = target::reachable(broker.address());
    ready(&format!(
        "  broker   http://{address}\n  server   {server_url}"
    ))?;
    signals::end_wanted().await?;
    broker.shutdown(within(Deadlines::USUAL.in_flight)).await;
    telemetry.stop(Deadlines::USUAL.telemetry).await;
    Ok(ExitCode::SUCCESS)
}

/// Runs a runner.
pub(crate) async fn runner(context: Context) -> anyhow::Result<ExitCode> {
    let settings = &context.settings;
    let peer = settings.broker.as_ref().map_or(Peer::Found, Peer::Broker);
    let secret = Credentials::read(settings)?.runner(peer)?;
    let broker_url = match &settings.broker {
        Some(broker) => broker.to_string(),
        None => broker_here(&DataFolder::at(settings.data_folder()))?,
    };
    let relay = Relay {
        base: broker_url.clone(),
        secret: secret.clone(),
        instead: true,
    };
    let telemetry = Telemetry::start(settings, None, Some(relay))?;
    let id = settings
        .runner_id
        .clone()
        .unwrap_or_else(runner::machine_name);
    let projects = settings.projects_path();
    let identity = Identity {
        id: &id,
        broker_url: &broker_url,
        secret,
        workspace: Workspace::new(&projects),
        alone: true,
        outboxes: settings.outboxes_path(),
    };
    let runner = runner::start(settings, identity, &telemetry).await?;
    tokio::select! {
        () = runner.connected() => {
            ready(&format!(
                "  runner   {id}, its projects in {}\n  broker   {broker_url}",
                projects.display(),
            ))?;
            signals::end_wanted().await?;
        }
        wanted = signals::end_wanted() => wanted?,
    }
    runner.shutdown(within(Deadlines::USUAL.intake)).await;
    telemetry.stop(Deadlines::USUAL.telemetry).await;
    Ok(ExitCode::SUCCESS)
}

/// Says that the part is ready, and where it is.
fn ready(told: &str) -> std::io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    writeln!(std::io::stdout(), "Hopline {version}\n{told}\nready")
}

/// The broker on this machine: that of the Hopline that holds the data folder, else the usual one.
fn broker_here(data: &DataFolder) -> anyhow::Result<String> {
    let held = data.holder()?.and_then(|holder| holder.broker);
    Ok(held.map_or_else(
        || format!("http://127.0.0.1:{BROKER_PORT}"),
        |broker| format!("http://{}", target::reachable(broker)),
    ))
}
