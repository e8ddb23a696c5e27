//! Where settings come from, and which source wins.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use hopline_wire::secret::Secret;
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
    /// `true` or `false`.
    Truth,
    /// Texts between commas.
    List,
    /// `name=value` between commas.
    Pairs,
}

/// Every key, and how its variable is read. A test holds this to the fields of [`Settings`].
const KEYS: &[(&str, Form)] = &[
    ("data", Form::Text),
    ("database", Form::Text),
    ("database_connections", Form::Number),
    ("listen", Form::Text),
    ("grpc_listen", Form::Text),
    ("broker_listen", Form::Text),
    ("server", Form::Text),
    ("broker", Form::Text),
    ("public_url", Form::Text),
    ("base_path", Form::Text),
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
    ("otlp_protocol", Form::Text),
    ("otlp_token", Form::Text),
    ("log", Form::Text),
    ("log_format", Form::Text),
    ("outbox_bytes", Form::Number),
    ("token_check", Form::Text),
    ("token_events_per_second", Form::Number),
    ("token_bytes_per_second", Form::Number),
    ("mask_secrets", Form::Truth),
    ("silence_after", Form::Text),
    ("log_retention", Form::Text),
    ("span_retention", Form::Text),
    ("span_bytes", Form::Number),
    ("span_bucket", Form::Text),
    ("threads", Form::Number),
];

/// The variables that the TypeScript original knows.
const ORIGINAL: &[(&str, &str)] = &[
    ("RUNNER_SHARED_SECRET", "runner_secret"),
    ("RUNNER_EVENT_TARGET_URL", "server"),
    ("SENTRY_DSN", "sentry_dsn"),
];

/// Where the broker listens.
const LISTEN: &str = "broker_listen";

/// The original's variable for the port of `broker_listen`, whose address stays what the files say.
const BROKER_PORT: &str = "BROKER_PORT";

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
    let flags = Source::flags(flags.0);
    let above = |below: Figment, broker: Source| {
        let files = below.merge(here.clone());
        let original = files.merge(broker).merge(original.clone());
        original.merge(own.clone()).merge(flags.clone())
    };
    let extract = |figment: Figment| {
        figment
            .extract::<Settings>()
            .map_err(SettingsError::from_figment)
    };
    // The data folder must be known before the file in it can be read.
    let known = extract(above(Figment::new(), Source::empty()))?;
    let data = match known.data {
        Some(data) => data,
        None => platform_folder(&variables).ok_or(SettingsError::NoDataFolder)?,
    };
    let data = current.join(data);
    let in_data = file(&data.join(FILE))?;
    let broker = broker_port(&variables, [&here, &in_data]);
    let mut settings = extract(above(Figment::from(in_data.clone()), broker))?;
    let is_mine = |key: &str| {
        [&original, &own, &flags]
            .iter()
            .any(|source| source.has(key))
    };
    // A file that names the data folder is no better for lying in it.
    let is_data_folders = !here.has("data") || is_mine("data");
    let files = match is_data_folders {
        true if is_same(current, &data) => Vec::new(),
        true => vec![&here],
        false => vec![&here, &in_data],
    };
    let keys = files.into_iter().flat_map(|file| file.dict.keys());
    settings.of_current_folder = keys.filter(|key| !is_mine(key)).cloned().collect();
    settings.data = Some(data);
    settings.bucket_options = bucket_options(&variables);
    check_token(&settings, current)?;
    Ok(settings)
}

/// What the environment says of how buckets are reached: under the names that AWS's own tools know, and before that under the
/// same names below `HOPLINE_`, which builds are not shown.
fn bucket_options(variables: &[(String, String)]) -> Vec<(String, Secret)> {
    let named = |before: &'static str| {
        let known = variables.iter().filter_map(move |(name, value)| {
            let name = name.strip_prefix(before)?;
            let is_set = name.starts_with("AWS_") && !value.is_empty();
            is_set.then(|| (name.to_owned(), Secret::new(value)))
        });
        known.collect::<Vec<_>>()
    };
    [named(""), named("HOPLINE_")].concat()
}

/// Whether two paths are one folder.
fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    whole(one).is_some_and(|one| whole(other) == Some(one))
}

/// A token goes to no address that only the current folder's file names, since such a file may be anyone's.
fn check_token(settings: &Settings, current: &Path) -> Result<(), SettingsError> {
    let of_file = |key| settings.is_of_current_folder(key);
    let (Some(_), Some(url)) = (&settings.otlp_token, &settings.otlp_url) else {
        return Ok(());
    };
    if !of_file("otlp_url") || of_file("otlp_token") {
        return Ok(());
    }
    Err(SettingsError::Value {
        key: "otlp_url".to_owned(),
        origin: current.join(FILE).display().to_string(),
        problem: format!(
            "expected an address beside its own otlp_token: the one given elsewhere is not shown to {url}, since a file \
             of the current folder may be anyone's: name the address where the token stands"
        ),
    })
}

/// The setting that the original's variable for the broker's port makes, with the address that the files give.
fn broker_port(variables: &[(String, String)], files: [&Source; 2]) -> Source {
    let set = variables.iter();
    let mut set = set.filter(|(name, value)| name == BROKER_PORT && !value.is_empty());
    let Some((_, port)) = set.next() else {
        return Source::empty();
    };
    let mut texts = files
        .iter()
        .filter_map(|file| file.dict.get(LISTEN)?.as_str());
    let address = texts.find_map(|text| text.parse::<SocketAddr>().ok());
    let address = address.unwrap_or_else(|| Settings::default().broker_listen);
    // What is no port is left as it is, for the error about it.
    let value = match port.parse() {
        Ok(port) => SocketAddr::new(address.ip(), port).to_string(),
        Err(_) => port.clone(),
    };
    let metadata =
        Metadata::named("environment variable").interpolater(|_: &Profile, _: &[&str]| {
            format!("the environment variable {BROKER_PORT} (a port)")
        });
    Source {
        metadata,
        dict: Dict::from([(LISTEN.to_owned(), Value::from(value))]),
    }
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
    fn empty() -> Self {
        Self::flags(Dict::new())
    }

    fn has(&self, key: &str) -> bool {
        self.dict.contains_key(key)
    }

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
        Form::Truth => {
            let truth = text.parse::<bool>().map(Value::from);
            truth.unwrap_or_else(|_| Value::from(text))
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
