//! The runner, as the settings want it.

use hopline_runner::guard::GuardCommand;
use hopline_runner::workspace::Workspace;
use hopline_runner::{ChildSpans, Handle, Options, Runner};
use hopline_wire::secret::Secret;

use super::telemetry::{Telemetry, without_path};
use crate::cli::GUARD_WORD;
use crate::settings::Settings;

/// How many bytes of unsettled events a runner keeps before its builds wait: two windows of a link.
const OUTBOX_BYTES: usize = 32 << 20;

/// Who a runner is and whom it serves.
pub(crate) struct Identity<'i> {
    /// Its name.
    pub(crate) id: &'i str,
    /// Its broker's address, starting with `http`.
    pub(crate) broker_url: &'i str,
    /// What it shows its broker.
    pub(crate) secret: Secret,
    /// Where its projects lie.
    pub(crate) workspace: Workspace,
    /// Whether spans go to the settings' endpoint instead of its broker, those of its children too. Elsewhere they go
    /// there as well, and those of children, which send to one place, to the store of their build.
    pub(crate) alone: bool,
}

/// Starts a runner. Its link comes up later.
///
/// # Errors
/// If its name or its broker's address cannot be used.
pub(crate) fn start(
    settings: &Settings,
    identity: Identity<'_>,
    telemetry: &Telemetry,
) -> anyhow::Result<Handle> {
    let broker_url = identity.broker_url;
    let endpoint = settings.otlp_url.as_ref().filter(|_| identity.alone);
    let child_spans = match endpoint {
        Some(endpoint) => ChildSpans::Elsewhere(without_path(endpoint.as_str()).to_owned()),
        None => ChildSpans::WithKey(broker_url.to_owned()),
    };
    let options = Options {
        // Each child inherits what this process was given, but for Hopline's own settings.
        environment: std::env::vars_os().collect(),
        outbox_bytes: OUTBOX_BYTES,
        traced: settings.traced(),
        sampler: settings.sampler(),
        head: settings.head(),
        child_spans,
        ..Options::new(
            identity.id,
            broker_url.replacen("http", "ws", 1),
            identity.secret,
            identity.workspace,
            GuardCommand::own_binary([GUARD_WORD]),
        )
    };
    let tracer = telemetry.tracer("hopline-runner", identity.id);
    Runner::start(options, tracer, telemetry.metrics())
        .map_err(|error| super::not_started("runner", &error, false))
}

/// This machine's name, for a runner that was given none.
pub(crate) fn machine_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    if name.is_empty() {
        "runner".to_owned()
    } else {
        name
    }
}
