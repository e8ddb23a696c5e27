//! What is told about a setting that cannot be used.

use figment::error::{Actual, Kind};

use crate::exit;

/// Why the settings cannot be used. Says the key, the source and what was expected; never a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A value is not what was expected.
    #[error("read the setting {key}, given by {origin}: {problem}")]
    Value {
        /// The key, as in `hopline.toml`.
        key: String,
        /// The flag, variable or file.
        origin: String,
        /// What was expected, and what was found.
        problem: String,
    },
    /// A file of settings is no TOML.
    #[error("read the settings in {place}: {problem}")]
    Syntax {
        /// File, line and column.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// A file of settings is there and cannot be read.
    #[error("read the settings in {path}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The platform names no folder for data.
    #[error("find the data folder: neither XDG_DATA_HOME nor HOME is set: name one with --data")]
    NoDataFolder,
}

impl SettingsError {
    /// The program's exit code.
    pub(crate) const fn exit_code(&self) -> u8 {
        exit::USAGE
    }

    /// What figment found wrong. Only the first mistake is told: the others may follow from it.
    pub(super) fn from_figment(error: figment::Error) -> Self {
        let key = error.path.join(".");
        let origin = error.metadata.as_ref().map_or_else(
            || "the defaults".to_owned(),
            |metadata| {
                let profile = figment::Profile::Default;
                metadata.interpolate(&profile, &[key.as_str()])
            },
        );
        let problem = match &error.kind {
            Kind::Message(expected) => expected.clone(),
            Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
                format!("expected {expected}, found {}", shown(found))
            }
            Kind::UnknownVariant(found, expected) => {
                format!("expected one of {}, found {found:?}", expected.join(", "))
            }
            Kind::UnknownField(_, known) => {
                format!("there is no such setting; there are {}", known.join(", "))
            }
            other => other.to_string(),
        };
        let key = match error.kind {
            Kind::UnknownField(field, _) => field,
            _ => key,
        };
        Self::Value {
            key,
            origin,
            problem,
        }
    }
}

/// What was found, shortly.
fn shown(found: &Actual) -> String {
    match found {
        Actual::Str(text) if text.chars().count() > 60 => "a long text".into(),
        Actual::Str(text) => format!("{text:?}"),
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        other => other.to_string(),
    }
}
