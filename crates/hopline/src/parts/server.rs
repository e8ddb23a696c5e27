//! The server and what stands behind it: processor and stores, as the settings want them.

use std::sync::Arc;

use hopline_processor::Processor;
use hopline_server::{
    Handle, Options, Parts, Secrets as ServerSecrets, Server, ServerError, TraceMode,
};
use hopline_state::Store;

use super::house::Listen;
use super::kept;
use super::stores::Stores;
use super::telemetry::Telemetry;
use crate::data::Secrets;
use crate::exit::{self, Failure};
use crate::settings::{Settings, TraceHead};

/// A server with its processor.
pub(crate) struct ServerSide {
    /// The server.
    pub(crate) server: Handle,
    /// The processor behind it.
    pub(crate) processor: Processor,
}

/// Starts processor and server where they are to listen.
///
/// # Errors
/// If the server cannot listen there.
pub(crate) async fn start(
    settings: &Settings,
    listen: Listen,
    secrets: &Secrets,
    stores: &Stores,
    telemetry: &Telemetry,
) -> anyhow::Result<ServerSide> {
    let rows: Arc<dyn Store> = Arc::clone(&stores.rows);
    let instance = super::instance(listen.server);
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
        console: hopline_server::console::EMBEDDED,
        tracer: telemetry.tracer("hopline-server", &instance),
        metrics: telemetry.metrics().clone(),
    };
    let started = Server::start(options(settings, listen, secrets), parts).await;
    match started {
        Ok(server) => Ok(ServerSide { server, processor }),
        Err(error) => {
            processor.stop().await;
            if matches!(&error, ServerError::PublicUrl { .. }) {
                return Err(Failure::new(exit::USAGE, format!("{error}")).into());
            }
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
        log_retention: kept::logs(settings),
        scratch: Some(scratch),
        ..hopline_processor::Options::default()
    }
}

fn options(settings: &Settings, listen: Listen, secrets: &Secrets) -> Options {
    let secrets = ServerSecrets {
        runner: secrets.runner.clone(),
        admin: secrets.admin.clone(),
        ingest: secrets.ingest.clone(),
        signing: Some(secrets.signing.clone()),
    };
    Options {
        grpc_listen: listen.grpc,
        public_url: settings.public_url.as_ref().map(ToString::to_string),
        base_path: settings.base_path.clone(),
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
        ..Options::new(listen.server, secrets)
    }
}
