//! The environment of the programs that agents and dev servers run: what they inherit, their place in the trace, and
//! where they send spans of their own.
//!
//! The last is told only to programs for which nobody has told it otherwise: an address and a key belong together,
//! and half of one's own and half of another's would send the build's key to a stranger.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsStr;

use hopline_wire::SpanId;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::commands::Core;
use crate::events::Failure;
use crate::process::{Environment, InvalidVariable};
use crate::runner::ChildSpans;
use crate::trace::CommandTrace;

/// How the names begin by which OpenTelemetry's SDKs are told where to send what, and with which headers
/// ("OpenTelemetry Protocol Exporter").
const OTLP_PREFIX: &str = "OTEL_EXPORTER_OTLP_";

/// The member `otlp` of a payload: a key that writes to the build's own trace.
#[derive(Deserialize)]
struct Otlp {
    endpoint: Option<String>,
    key: String,
}

/// What every child of a command gets.
pub(crate) struct BaseEnvironment {
    variables: Environment,
    /// Where spans go, for children that are told nothing of it themselves.
    otlp: Vec<(&'static str, String)>,
}

impl BaseEnvironment {
    /// For programs that are told nothing of where spans go: the runner's environment without what is its own.
    pub(crate) fn inherited(core: &Core) -> Self {
        Self {
            variables: core.environment.clone(),
            otlp: Vec::new(),
        }
    }

    /// For the programs of a build, with the key that its payload brought in `more`.
    pub(crate) fn of_build(core: &Core, more: &Map<String, Value>) -> Result<Self, Failure> {
        let brought = match more.get("otlp").filter(|otlp| !otlp.is_null()) {
            None => None,
            Some(otlp) => Some(Otlp::deserialize(otlp).map_err(|_| {
                // What serde would say could hold the key.
                Failure::new(
                    "bad_command",
                    "expected otlp to be an object with the texts key and, if at all, endpoint",
                )
            })?),
        };
        let mut base = Self::inherited(core);
        let told = |(name, _): (&OsStr, _)| name.to_str().is_some_and(is_otlp);
        if !core.environment.iter().any(told) {
            base.otlp = span_variables(&core.child_spans, brought);
        }
        Ok(base)
    }

    /// Sets a variable for all children.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        self.variables.set(name, value).map_err(invalid)
    }

    /// The variables of all children that have a name in UTF-8, as they read.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let variables = self.variables.iter();
        variables.filter_map(|(name, value)| Some((name.to_str()?, value.to_string_lossy())))
    }

    /// The environment of one child: its place in the trace below `parent`, and what was given for it alone.
    pub(crate) fn of_child(
        &self,
        trace: &CommandTrace,
        parent: SpanId,
        own: &BTreeMap<String, String>,
    ) -> Result<Environment, Failure> {
        let mut environment = self.variables.clone();
        let otlp = if own.keys().any(|name| is_otlp(name)) {
            &[]
        } else {
            self.otlp.as_slice()
        };
        for (name, value) in otlp {
            environment.set(name, value).map_err(invalid)?;
        }
        for (name, value) in trace.at(parent).environment() {
            environment.set(name, value).map_err(invalid)?;
        }
        for (name, value) in own {
            environment.set(name, value).map_err(invalid)?;
        }
        Ok(environment)
    }
}

fn is_otlp(name: &str) -> bool {
    name.starts_with(OTLP_PREFIX)
}

/// The variables that tell a build's children where their spans go.
fn span_variables(to: &ChildSpans, brought: Option<Otlp>) -> Vec<(&'static str, String)> {
    // Some SDKs speak gRPC unless told, which is spoken at another port.
    let http = "http/protobuf";
    let (endpoint, protocol, key) = match (brought, to) {
        (
            Some(Otlp {
                endpoint: Some(endpoint),
                key,
            }),
            _,
        ) => (endpoint, http, Some(key)),
        (Some(Otlp { key, .. }), ChildSpans::WithKey(base)) => (base.clone(), http, Some(key)),
        (_, ChildSpans::Elsewhere { endpoint, protocol }) => (endpoint.clone(), *protocol, None),
        (_, ChildSpans::WithKey(_) | ChildSpans::Nowhere) => return Vec::new(),
    };
    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
    ];
    // The list's values are percent-encoded, like baggage.
    let headers = |key| format!("Authorization=Bearer%20{key}");
    variables.extend(key.map(|key| ("OTEL_EXPORTER_OTLP_HEADERS", headers(key))));
    variables
}

fn invalid(error: InvalidVariable) -> Failure {
    Failure::new("bad_command", error.to_string())
}
