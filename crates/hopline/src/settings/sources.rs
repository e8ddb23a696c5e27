//! Where settings come from, and which source wins.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Serialize;

use super::{Settings, SettingsError};

/// The file of settings, in the current folder or the data folder.
const FILE: &str = "hopline.toml";

/// How the text of an environment variable is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it stands.
    Text,
    /// A number, where it is one.
    Number,
    /// Texts between commas.
    List,
    /// `name=value` between commas.
    Pairs,
}

/// Every key, and how its variable is read. A test holds this to the fields of [`Settings`].
const KEYS: &[(&str, Form)] = &[
    ("data", Form::Text),
    ("database", Form::Text),
    ("listen", Form::Text),
    ("broker_listen", Form::Text),
    ("broker_port", Form::Number),
    ("server", Form::Text),
    ("broker", Form::Text),
    ("public_url", Form::Text),
    ("broker_public_url", Form::Text),
    ("allowed_hosts", Form::List),
    ("allowed_origins", Form::List),
    ("runner_id", Form::Text),
    ("projects", Form::Text),
    ("runner_secret", Form::Text),
    ("admin_secret", Form::Text),
    ("ingest_key", Form::Text),
    ("sample_rate", Form::Number),
    ("release", Form::Text),
    ("environment", Form::Text),
    ("sentry_dsn", Form::Text),
    ("trace", Form::Text),
    ("traced_events", Form::Pairs),
    ("otlp_url", Form::Text),
    ("otlp_token", Form::Text),
    ("log", Form::Text),
    ("log_format", Form::Text),
    ("outbox_bytes", Form::Number),
    ("threads", Form::Number),
];

/// The variables that the TypeScript original knows.
const ORIGINAL: &[(&str, &str)] = &[
    ("RUNNER_SHARED_SECRET", "runner_secret"),
    ("RUNNER_EVENT_TARGET_URL", "server"),
    ("BROKER_PORT", "broker_port"),
    ("SENTRY_DSN", "sentry_dsn"),
];

/// The settings given by flags: what a group of flags serialises to, absent ones left out.
#[derive(Default)]
pub(crate) struct Flags(Dict);

impl Flags {
    /// Adds a group of flags.
    pub(crate) fn with(mut self, group: &impl Serialize) -> Self {
        // A group of flags is a struct of texts and numbers; anything else would be a mistake here.
        if let Ok(Value::Dict(_, dict)) = Value::serialize(group) {
            self.0.extend(dict);
        }
        self
    }
}

/// Reads all settings. `environment` are the process's variables, `current` is the current folder.
///
/// # Errors
/// [`SettingsError`] at the first setting that cannot be used.
pub(crate) fn load(
    flags: Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    current: &Path,
) -> Result<Settings, SettingsError> {
    let variables: Vec<_> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let here = file(&current.join(FILE))?;
    let original = variables_of(&variables, |key| original_name(key).map(str::to_owned));
    let own = variables_of(&variables, |key| Some(variable(key)));
    let above = |below: Figment| {
        below
            .merge(here.clone())
            .merge(original.clone())
            .merge(own.clone())
            .merge(Source::flags(flags.0.clone()))
    };
    let extract = |figment: Figment| {
        figment
            .extract::<Settings>()
            .map_err(SettingsError::from_figment)
    };
    // The data folder must be known before the file in it can be read.
    let known = extract(above(Figment::new()))?;
    let data = match known.data {
        Some(data) => data,
        None => platform_folder(&variables).ok_or(SettingsError::NoDataFolder)?,
    };
    let data = current.join(data);
    let in_data = file(&data.join(FILE))?;
    let mut settings = extract(above(Figment::from(in_data)))?;
    settings.data = Some(data);
    Ok(settings)
}

/// The variable of a key.
fn variable(key: &str) -> String {
    format!("HOPLINE_{}", key.to_uppercase())
}

fn original_name(key: &str) -> Option<&'static str> {
    let found = ORIGINAL.iter().find(|(_, means)| *means == key);
    found.map(|(name, _)| *name)
}

/// The folder for data of the XDG Base Directory Specification.
fn platform_folder(variables: &[(String, String)]) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let found = variables.iter().find(|(variable, _)| variable == name);
        found
            .map(|(_, value)| PathBuf::from(value))
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    base.map(|base| base.join("hopline"))
}

/// One source of settings, with a name for errors.
#[derive(Clone)]
struct Source {
    metadata: Metadata,
    dict: Dict,
}

impl Source {
    fn flags(dict: Dict) -> Self {
        let metadata = Metadata::named("flag").interpolater(|_: &Profile, keys: &[&str]| {
            format!("the flag --{}", keys.join(".").replace('_', "-"))
        });
        Self { metadata, dict }
    }
}

impl Provider for Source {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// A file of settings; empty if it is not there.
fn file(path: &Path) -> Result<Source, SettingsError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => String::new(),
        Err(source) => {
            return Err(SettingsError::File {
                path: path.display().to_string(),
                source,
            });
        }
    };
    let dict = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let before = before.unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .map_or(0, |rest| rest.chars().count())
            + 1;
        SettingsError::Syntax {
            place: format!("{}, line {line}, column {column}", path.display()),
            problem: error.message().to_owned(),
        }
    })?;
    let shown = path.display().to_string();
    let metadata =
        Metadata::named("file").interpolater(move |_: &Profile, _: &[&str]| shown.clone());
    Ok(Source { metadata, dict })
}

/// The keys whose variables are set. Empty ones count as not set, as is usual for shells and containers.
fn variables_of(
    variables: &[(String, String)],
    name_of: impl Fn(&str) -> Option<String>,
) -> Source {
    let mut dict = Dict::new();
    let mut names = std::collections::BTreeMap::new();
    for (key, form) in KEYS {
        let Some(name) = name_of(key) else {
            continue;
        };
        let set = variables
            .iter()
            .find(|(variable, value)| *variable == name && !value.is_empty());
        if let Some((_, text)) = set {
            dict.insert((*key).to_owned(), read(text, *form));
            names.insert((*key).to_owned(), name);
        }
    }
    let metadata =
        Metadata::named("environment variable").interpolater(move |_: &Profile, keys: &[&str]| {
            let key = keys.first().and_then(|key| key.split('.').next());
            let name = key.and_then(|key| names.get(key));
            format!(
                "the environment variable {}",
                name.map_or("", String::as_str)
            )
        });
    Source { metadata, dict }
}

fn read(text: &str, form: Form) -> Value {
    let items = || {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
    };
    match form {
        Form::Text => Value::from(text),
        Form::Number => {
            let whole = text.parse::<u64>().map(Value::from);
            let number = whole.or_else(|_| text.parse::<f64>().map(Value::from));
            number.unwrap_or_else(|_| Value::from(text))
        }
        Form::List => Value::from(items().collect::<Vec<_>>()),
        Form::Pairs => {
            let pairs = items().map(|item| item.split_once('=').unwrap_or((item, "")));
            let pairs =
                pairs.map(|(name, value)| (name.trim().to_owned(), Value::from(value.trim())));
            Value::from(pairs.collect::<Dict>())
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
