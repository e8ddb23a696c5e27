//! `DIR/secrets`: the credentials, made at the first start, readable by their owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopline_wire::secret::Secret;
use rand::RngExt as _;
use serde::Deserialize;

use super::DataError;
use crate::settings::{SecretText, Settings};

/// The file's name.
pub(super) const FILE: &str = "secrets";

/// How many random bytes a secret is made of.
const SECRET_BYTES: usize = 32;

/// The credentials of one installation.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    /// Of runners and brokers.
    pub(crate) runner: Secret,
    /// Of people and their tools.
    pub(crate) admin: Secret,
    /// Write-only, for spans.
    pub(crate) ingest: Secret,
    /// Signs what the server hands out.
    pub(crate) signing: Secret,
}

impl Secrets {
    /// These, but for those that the settings give.
    pub(crate) fn with_settings(self, settings: &Settings) -> Self {
        let given = |setting: &Option<SecretText>, kept: Secret| {
            let given = setting.as_ref().map(|text| text.0.clone());
            given.unwrap_or(kept)
        };
        Self {
            runner: given(&settings.runner_secret, self.runner),
            admin: given(&settings.admin_secret, self.admin),
            ingest: given(&settings.ingest_key, self.ingest),
            signing: self.signing,
        }
    }
}

#[derive(Deserialize)]
struct Content {
    runner_secret: String,
    admin_secret: String,
    ingest_key: String,
    signing_key: String,
}

/// Reads the file; none if it is not there.
pub(super) fn read(folder: &Path) -> Result<Option<Secrets>, DataError> {
    let path = folder.join(FILE);
    let content = match fs::File::open(&path).and_then(|file| {
        let mode = file.metadata()?.mode() & 0o777;
        Ok((mode, io::read_to_string(file)?))
    }) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(source) => return Err(DataError::read(&path, source)),
    };
    let (mode, text) = content;
    if mode & 0o077 != 0 {
        return Err(DataError::Open { path, mode });
    }
    let content: Content = toml::from_str(&text).map_err(|_| DataError::Malformed {
        path,
        // The parser's own words could quote the file.
        problem: "expected the texts runner_secret, admin_secret, ingest_key and signing_key"
            .into(),
    })?;
    Ok(Some(Secrets {
        runner: Secret::new(&content.runner_secret),
        admin: Secret::new(&content.admin_secret),
        ingest: Secret::new(&content.ingest_key),
        signing: Secret::new(&content.signing_key),
    }))
}

/// Makes the file, whole or not at all. If another process has made it meanwhile, that one stands.
pub(super) fn make(folder: &Path) -> Result<(), DataError> {
    let text = format!(
        "# Hopline's credentials. Whoever can read them can do everything.\n\
         runner_secret = \"{}\"\nadmin_secret = \"{}\"\ningest_key = \"{}\"\nsigning_key = \"{}\"\n",
        random(),
        random(),
        random_hex(),
        random(),
    );
    let new = folder.join(format!("{FILE}.{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    // A link, unlike a rename, never replaces a file that is there.
    let linked = written.and_then(|()| match fs::hard_link(&new, folder.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&new);
    linked
        .and(removed)
        .map_err(|source| DataError::cannot_write(folder, source))
}

/// Of letters and digits alone: SDKs take no other public key in a DSN.
fn random_hex() -> String {
    let bytes = rand::rng().random::<[u8; SECRET_BYTES]>();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; SECRET_BYTES]>())
}

#[cfg(test)]
mod tests {
    use super::super::DataFolder;
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn secrets_are_made_once_and_for_their_owner_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::at(&temporary.path().join("data"));
        assert!(folder.secrets().unwrap().is_none());
        let first = folder.secrets_or_new().unwrap();
        make(folder.path()).unwrap();
        let second = folder.secrets_or_new().unwrap();
        assert!(first.admin.matches(second.admin.expose()));
        let digits = first.ingest.expose().bytes();
        assert!(digits.clone().all(|digit| digit.is_ascii_hexdigit()) && digits.count() >= 32);
        assert!(!first.admin.matches(first.runner.expose()));
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1, "nothing is left beside the secrets");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&folder.path().join(FILE)), 0o600);
        assert_eq!(mode(folder.path()), 0o700);
    }

    #[test]
    fn secrets_that_others_may_read_are_refused_with_the_remedy() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::at(temporary.path());
        folder.secrets_or_new().unwrap();
        let file = temporary.path().join(FILE);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let text = folder.secrets().unwrap_err().to_string();
        assert!(text.contains("chmod 600"), "{text}");
    }

    #[test]
    fn a_malformed_file_is_told_of_without_its_content() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::at(temporary.path());
        folder.secrets_or_new().unwrap();
        let file = temporary.path().join(FILE);
        fs::write(&file, "runner_secret = \"hunter2\n").unwrap();
        let text = format!("{:?}", folder.secrets().unwrap_err());
        assert!(
            text.contains("Malformed") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
