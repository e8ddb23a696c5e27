//! The runner, as the settings want it.

use std::path::{Path, PathBuf};

use hopline_runner::guard::GuardCommand;
use hopline_runner::workspace::Workspace;
use hopline_runner::{ChildSpans, Handle, Options, Runner, RunnerError};
use hopline_wire::secret::Secret;

use super::telemetry::{Telemetry, without_path};
use crate::cli::GUARD_WORD;
use crate::settings::{OtlpProtocol, Settings};

/// Who a runner is and whom it serves.
pub(crate) struct Identity<'i> {
    /// Its name.
    pub(crate) id: &'i str,
    /// Its broker's address, starting with `http`.
    pub(crate) broker_url: &'i str,
    /// What it shows its broker.
    pub(crate) secret: Secret,
    /// Whether it is there for one build.
    pub(crate) one_build: bool,
    /// Where its projects lie.
    pub(crate) workspace: Workspace,
    /// Whether spans go to the settings' endpoint instead of its broker, those of its children too. Elsewhere they go
    /// there as well, and those of children, which send to one place, to the store of their build.
    pub(crate) alone: bool,
    /// The folder of the outboxes of all runners on this data folder.
    pub(crate) outboxes: PathBuf,
}

/// Starts a runner. Its link comes up later.
///
/// # Errors
/// If its name or its broker's address cannot be used.
pub(crate) async fn start(
    settings: &Settings,
    identity: Identity<'_>,
    telemetry: &Telemetry,
) -> anyhow::Result<Handle> {
    let broker_url = identity.broker_url;
    let endpoint = settings.otlp_url.as_ref().filter(|_| identity.alone);
    let child_spans = match endpoint {
        Some(endpoint) => ChildSpans::Elsewhere {
            endpoint: without_path(endpoint.as_str()).to_owned(),
            protocol: match settings.otlp_protocol {
                OtlpProtocol::Http => "http/protobuf",
                OtlpProtocol::Grpc => "grpc",
            },
        },
        None => ChildSpans::WithKey(broker_url.to_owned()),
    };
    let options = Options {
        // Each child inherits what this process was given, but for Hopline's own settings.
        environment: std::env::vars_os().collect(),
        outbox_bytes: settings.outbox_bytes,
        // A file of the current folder may be anyone's, and does not open what others rely on.
        mask_secrets: settings.mask_secrets || settings.is_of_current_folder("mask_secrets"),
        traced: settings.traced(),
        sampler: settings.sampler(),
        head: settings.head(),
        child_spans,
        one_build: identity.one_build,
        ..Options::new(
            identity.id,
            broker_url.replacen("http", "ws", 1),
            identity.secret,
            identity.workspace,
            folder_of(&identity.outboxes, identity.id),
            GuardCommand::own_binary([GUARD_WORD]),
        )
    };
    let tracer = telemetry.tracer("hopline-runner", identity.id);
    let started = Runner::start(options, tracer, telemetry.metrics()).await;
    started.map_err(|error| {
        let taken = matches!(error, RunnerError::OutboxInUse(_));
        super::not_started("runner", &error, taken)
    })
}

/// The folder of a runner's outbox: what in its name could mean something else in a path is written as its bytes.
pub(crate) fn folder_of(outboxes: &Path, id: &str) -> PathBuf {
    let mut name = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    outboxes.join(name)
}

/// The runner whose outbox has this name; none if it is no runner's.
pub(crate) fn id_of(folder: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(folder.len());
    let mut rest = folder.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runners_outbox_is_one_folder_whatever_its_name() {
        for id in ["local", "run-a.b-1", "../x/y", "a%b", "ä ö", "."] {
            let folder = folder_of(Path::new("o"), id);
            assert_eq!(folder.parent(), Some(Path::new("o")), "{id}");
            let name = folder.file_name().unwrap().to_str().unwrap();
            assert_eq!(id_of(name).as_deref(), Some(id));
        }
        assert_eq!(id_of("a%"), None);
        assert_eq!(id_of("a%zz"), None);
    }
}
