//! `hopline server`, `hopline broker`, `hopline runner`: the parts on their own, each until it is told to end.
//!
//! On one machine they find each other by the data folder: its lock file names the server, and its secrets are
//! theirs. On several machines addresses and secrets are settings.

use std::io::Write as _;
use std::process::ExitCode;

use hopline_runner::workspace::Workspace;

use super::credentials::{Credentials, Peer};
use super::signals::EndSignals;
use super::target;
use crate::cli::Context;
use crate::cli::args::ReadyFlags;
use crate::data::DataFolder;
use crate::parts::house::{House, Listen};
use crate::parts::runner::{self, Identity};
use crate::parts::telemetry::{Relay, Telemetry};
use crate::parts::{Deadlines, broker as broker_part, within};
use crate::settings::BROKER_PORT;

/// Runs the server with its processor and stores.
pub(crate) async fn server(shown: ReadyFlags, context: Context) -> anyhow::Result<ExitCode> {
    let settings = &context.settings;
    let data = DataFolder::at(settings.data_folder());
    let hold = target::take(&data).await?;
    let listen = Listen {
        server: settings.listen,
        grpc: settings.grpc_listen,
        broker: None,
    };
    let house = House::start(settings, &data, hold, listen).await?;
    let mut signals = EndSignals::listen()?;
    let mut facts = vec![("server", house.server_url())];
    facts.extend(house.grpc_url().map(|url| ("grpc", url)));
    facts.extend([
        ("data", data.path().display().to_string()),
        ("signIn", house.server_side.server.one_time_link()),
    ]);
    ready(&shown, &facts)?;
    signals.next().await;
    let stop = async { house.close(Deadlines::USUAL).await.close().await };
    signals.while_stopping(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a broker.
pub(crate) async fn broker(shown: ReadyFlags, context: Context) -> anyhow::Result<ExitCode> {
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
    let mut signals = EndSignals::listen()?;
    let facts = [
        ("broker", format!("http://{address}")),
        ("server", server_url),
    ];
    ready(&shown, &facts)?;
    signals.next().await;
    let stop = async {
        broker.shutdown(within(Deadlines::USUAL.in_flight)).await;
        telemetry.stop(Deadlines::USUAL.telemetry).await;
    };
    signals.while_stopping(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a runner.
pub(crate) async fn runner(shown: ReadyFlags, context: Context) -> anyhow::Result<ExitCode> {
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
        one_build: false,
        alone: true,
        outboxes: settings.outboxes_path(),
    };
    let runner = runner::start(settings, identity, &telemetry).await?;
    let mut signals = EndSignals::listen()?;
    tokio::select! {
        () = runner.connected() => {
            let projects = projects.display().to_string();
            ready(&shown, &[("runner", id), ("projects", projects), ("broker", broker_url)])?;
            signals.next().await;
        }
        () = signals.next() => {}
    }
    let stop = async {
        runner.shutdown(within(Deadlines::USUAL.intake)).await;
        telemetry.stop(Deadlines::USUAL.telemetry).await;
    };
    signals.while_stopping(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Says that the parts are ready, and where they are: for people, or as one line of JSON.
///
/// # Errors
/// If standard output cannot be written.
pub(crate) fn ready(shown: &ReadyFlags, facts: &[(&str, String)]) -> std::io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let mut out = std::io::stdout().lock();
    if shown.json {
        let mut line = serde_json::Map::new();
        line.insert("version".into(), version.into());
        line.insert("pid".into(), std::process::id().into());
        for (name, fact) in facts {
            line.insert((*name).into(), fact.as_str().into());
        }
        writeln!(out, "{}", serde_json::Value::Object(line))?;
        return out.flush();
    }
    writeln!(out, "Hopline {version}")?;
    for (name, fact) in facts {
        let (name, remark) = match *name {
            "signIn" => ("sign in", "  (once, within an hour)"),
            name => (name, ""),
        };
        writeln!(out, "  {name:<8} {fact}{remark}")?;
    }
    writeln!(out, "ready")
}

/// The broker on this machine: that of the Hopline that holds the data folder, else the usual one.
fn broker_here(data: &DataFolder) -> anyhow::Result<String> {
    let held = data.holder()?.and_then(|holder| holder.broker);
    Ok(held.map_or_else(
        || format!("http://127.0.0.1:{BROKER_PORT}"),
        |broker| format!("http://{}", target::reachable(broker)),
    ))
}
