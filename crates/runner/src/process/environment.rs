//! The environment of a child: the runner's own without the runner's secrets, and what the caller
//! adds.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Prefixes of names that are settings of Hopline and of the original it stands in for. They hold
/// secrets and addresses that a build has no business with.
const OWN_PREFIXES: [&str; 3] = ["HOPLINE_", "RUNNER_", "BROKER_"];

/// Names of a trace: those in the runner's own environment belong to whatever started the runner. A
/// child's are those of its build or none.
const TRACE_NAMES: [&str; 5] = [
    "TRACEPARENT",
    "TRACESTATE",
    "BAGGAGE",
    "SENTRY_TRACE",
    "SENTRY_BAGGAGE",
];

/// Where databases are named, by custom (`DATABASE_URL` and its likes) ...
const DATABASE_SUFFIX: &str = "DATABASE_URL";
/// ... and by PostgreSQL's client library (libpq, "Environment Variables").
const DATABASE_NAMES: [&str; 10] = [
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGOPTIONS",
];

/// A variable that no environment can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid environment variable {name:?}: {reason}")]
pub struct InvalidVariable {
    /// Its name. Its value may be a secret and is not told.
    pub name: String,
    /// Why.
    pub reason: &'static str,
}

/// The variables a child gets; each name once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// What a child inherits of `own`, the runner's variables: all but `HOPLINE_*`, `RUNNER_*`,
    /// `BROKER_*`, addresses of databases, and the trace that the runner itself was started in.
    ///
    /// `SENTRY_DSN` stays: a child that reports to Sentry joins the build's trace only with it.
    pub fn inherited(own: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(
            own.into_iter()
                .filter(|(name, _)| is_inherited(name))
                .collect(),
        )
    }

    /// Sets a variable, in place of an inherited one.
    ///
    /// # Errors
    /// When the name is empty or holds `=`, or one of the two holds a NUL byte.
    pub fn set(
        &mut self,
        name: impl AsRef<OsStr>,
        value: impl AsRef<OsStr>,
    ) -> Result<(), InvalidVariable> {
        let (name, value) = (name.as_ref(), value.as_ref());
        let (name_bytes, value_bytes) = (name.as_encoded_bytes(), value.as_encoded_bytes());
        let reason = match () {
            () if name_bytes.is_empty() => "the name is empty",
            () if name_bytes.contains(&b'=') => "the name holds an equals sign",
            () if name_bytes.contains(&0) || value_bytes.contains(&0) => "it holds a NUL byte",
            () => {
                self.0.insert(name.to_owned(), value.to_owned());
                return Ok(());
            }
        };
        Err(InvalidVariable {
            name: name.to_string_lossy().into_owned(),
            reason,
        })
    }

    /// The value of a variable.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.0.get(name.as_ref()).map(OsString::as_os_str)
    }

    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

/// Names only: the values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Environment").field(&self.0.keys()).finish()
    }
}

fn is_inherited(name: &OsStr) -> bool {
    // A name that is not UTF-8 is none of those below, which are ASCII.
    let Some(name) = name.to_str() else {
        return true;
    };
    !(OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name.ends_with(DATABASE_SUFFIX)
        || DATABASE_NAMES.contains(&name)
        || TRACE_NAMES.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(names: &[&str]) -> Vec<String> {
        let own = names
            .iter()
            .map(|name| (OsString::from(name), OsString::from("value")));
        Environment::inherited(own)
            .iter()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_child_does_not_inherit_its_runners_settings_databases_or_trace() {
        let withheld = [
            "HOPLINE_DATABASE",
            "RUNNER_SHARED_SECRET",
            "BROKER_PORT",
            "DATABASE_URL",
            "TEST_DATABASE_URL",
            "PGPASSWORD",
            "TRACEPARENT",
            "SENTRY_BAGGAGE",
        ];
        assert_eq!(inherited(&withheld), Vec::<String>::new());
    }

    #[test]
    fn a_child_inherits_everything_else() {
        let passed = [
            "GITHUB_RUNNER_ID",
            "HOME",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "PATH",
            "PGO_PROFILE",
            "SENTRY_DSN",
        ];
        assert_eq!(inherited(&passed), passed);
    }

    #[test]
    fn a_given_variable_stands_in_place_of_an_inherited_one() {
        let mut environment = Environment::inherited([("PATH".into(), "/bin".into())]);
        environment.set("PATH", "/opt/bin").unwrap();
        environment
            .set("HOPLINE_STEP", "given by the step itself")
            .unwrap();
        assert_eq!(environment.get("PATH"), Some(OsStr::new("/opt/bin")));
        assert!(environment.get("HOPLINE_STEP").is_some());
    }

    #[test]
    fn an_impossible_variable_is_refused_without_its_value() {
        for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "secret\0")] {
            let refused = Environment::default().set(name, value).unwrap_err();
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
    }

    #[test]
    fn debug_output_shows_no_value() {
        let mut environment = Environment::default();
        environment.set("TOKEN", "hunter2").unwrap();
        let shown = format!("{environment:?}");
        assert!(
            shown.contains("TOKEN") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
