//! The server and what stands behind it: processor and stores, as the settings want them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hopline_processor::Processor;
use hopline_server::{
    Handle, Options, Parts, Secrets as ServerSecrets, Server, ServerError, TraceMode,
};
use hopline_state::Store;

use super::stores::Stores;
use super::telemetry::Telemetry;
use crate::data::Secrets;
use crate::settings::{Retention, Settings, TraceHead};

/// A server with its processor.
pub(crate) struct ServerSide {
    /// The server.
    pub(crate) server: Handle,
    /// The processor behind it.
    pub(crate) processor: Processor,
}

/// Starts processor and server at `listen`.
///
/// # Errors
/// If the server cannot listen there.
pub(crate) async fn start(
    settings: &Settings,
    listen: SocketAddr,
    secrets: &Secrets,
    stores: &Stores,
    telemetry: &Telemetry,
) -> anyhow::Result<ServerSide> {
    let rows: Arc<dyn Store> = Arc::clone(&stores.rows);
    let instance = super::instance(listen);
    let processor = Processor::start(
        processor_options(settings),
        Arc::clone(&rows),
        telemetry.tracer("hopline-processor", &instance),
        telemetry.metrics(),
    );
    let parts = Parts {
        store: rows,
        processor: processor.handle(),
        traces: Arc::clone(&stores.traces) as _,
        questions: stores.questions()?,
        tracer: telemetry.tracer("hopline-server", &instance),
        metrics: telemetry.metrics().clone(),
    };
    let started = Server::start(options(settings, listen, secrets), parts).await;
    match started {
        Ok(server) => Ok(ServerSide { server, processor }),
        Err(error) => {
            processor.stop().await;
            let taken = matches!(&error, ServerError::Listen { source, .. }
                if source.kind() == std::io::ErrorKind::AddrInUse);
            Err(super::not_started("server", &error, taken))
        }
    }
}

fn processor_options(settings: &Settings) -> hopline_processor::Options {
    let scratch = settings.scratch_path();
    // What a killed process has left there; what cannot be removed is in nobody's way.
    let _ = std::fs::remove_dir_all(&scratch);
    hopline_processor::Options {
        silence: settings.silence_after.0,
        log_retention: log_retention(settings),
        scratch: Some(scratch),
        ..hopline_processor::Options::default()
    }
}

/// How long logs are kept; none: for ever. Who checks out somebody's project and runs it must not lose logs by that.
fn log_retention(settings: &Settings) -> Option<Duration> {
    let kept = |retention: Retention| retention.0.map(|period| period.0);
    let (asked, usual) = (
        kept(settings.log_retention),
        kept(Settings::default().log_retention),
    );
    let is_shorter = asked.is_some_and(|asked| usual.is_none_or(|usual| asked < usual));
    if settings.is_of_current_folder("log_retention") && is_shorter {
        tracing::warn!(
            "log_retention in the hopline.toml of the current folder is not heeded, since such a file may be anyone's: \
             set it in the data folder's hopline.toml, in the environment or by its flag"
        );
        return usual;
    }
    asked
}

fn options(settings: &Settings, listen: SocketAddr, secrets: &Secrets) -> Options {
    let secrets = ServerSecrets {
        runner: secrets.runner.clone(),
        admin: secrets.admin.clone(),
        ingest: secrets.ingest.clone(),
        signing: Some(secrets.signing.clone()),
    };
    Options {
        public_url: settings.public_url.as_ref().map(ToString::to_string),
        allowed_hosts: settings.allowed_hosts.clone(),
        allowed_origins: settings.allowed_origins.clone(),
        head: settings.head(),
        sampler: settings.sampler(),
        traced_events: settings.traced(),
        trace_mode: match settings.trace {
            TraceHead::New => TraceMode::New,
            TraceHead::Continue => TraceMode::Continue,
        },
        broker_url: settings.broker.as_ref().map(ToString::to_string),
        token_rates: settings.token_rates(),
        ..Options::new(listen, secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{self, Flags};

    #[test]
    fn a_checkout_cannot_have_logs_removed_sooner() {
        let folder = tempfile::tempdir().unwrap();
        let kept = |here: &str, environment: Option<&str>| {
            std::fs::write(folder.path().join("hopline.toml"), here).unwrap();
            let home = ("HOME".into(), "/nowhere".into());
            let own = environment.map(|value| ("HOPLINE_LOG_RETENTION".into(), value.into()));
            let variables = std::iter::once(home).chain(own);
            let settings = settings::load(Flags::default(), variables, folder.path());
            log_retention(&settings.unwrap()).map(|kept| kept.as_secs() / 3600)
        };
        let week = Some(7 * 24);
        assert_eq!(kept("", None), week);
        assert_eq!(kept("log_retention = \"1h\"\n", None), week);
        assert_eq!(kept("log_retention = \"30d\"\n", None), Some(30 * 24));
        assert_eq!(kept("log_retention = \"never\"\n", None), None);
        assert_eq!(kept("log_retention = \"1h\"\n", Some("2h")), Some(2));
    }
}
