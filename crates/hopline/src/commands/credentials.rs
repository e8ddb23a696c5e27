//! Which secret is shown to which address.
//!
//! The secrets of the data folder belong to this machine. They are shown to the Hopline that holds the folder, as its
//! lock file tells, and to loopback addresses that the user named: by a flag, in the environment, or in the data
//! folder's own `hopline.toml`. Any other address gets a secret that was given as a setting, or none. An address out of
//! the `hopline.toml` of the current folder may be anyone's, since that file comes along with a checkout: it is
//! shown nothing but what stands in the same file, unless it is the holder's.

use hopline_wire::secret::Secret;

use crate::data::{DataFolder, Holder, Secrets};
use crate::exit::{self, Failure};
use crate::settings::{BaseUrl, SecretText, Settings};

/// Whom a secret is for.
#[derive(Clone, Copy)]
pub(crate) enum Peer<'p> {
    /// What was found on this machine: by the lock file, or at the usual address.
    Found,
    /// The address of the setting `server`.
    Server(&'p BaseUrl),
    /// The address of the setting `broker`.
    Broker(&'p BaseUrl),
}

/// All secrets that are known, and who may see them.
pub(crate) struct Credentials<'s> {
    settings: &'s Settings,
    kept: Option<Secrets>,
    holder: Option<Holder>,
}

/// How far an address is trusted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It is this machine's: the data folder's secrets are for it.
    ThisMachine,
    /// Its user named it: it is shown what its user gave.
    User,
    /// A file that may be anyone's named it.
    Nobody,
}

impl<'s> Credentials<'s> {
    /// Those of the settings and of the data folder.
    ///
    /// # Errors
    /// If the folder cannot be read, or others may read its secrets.
    pub(crate) fn read(settings: &'s Settings) -> anyhow::Result<Self> {
        let data = DataFolder::at(settings.data_folder());
        Ok(Self {
            settings,
            kept: data.secrets()?,
            holder: data.holder()?,
        })
    }

    /// What a server wants of people and their tools.
    ///
    /// # Errors
    /// A [`Failure`] that says what to do, if there is none that the peer may see.
    pub(crate) fn admin(&self, peer: Peer<'_>) -> Result<Secret, Failure> {
        let kept = self.kept.as_ref().map(|kept| &kept.admin);
        let given = self.settings.admin_secret.as_ref();
        self.secret(peer, "admin_secret", given, kept)
    }

    /// What runners, brokers and servers want of each other.
    ///
    /// # Errors
    /// As [`Credentials::admin`].
    pub(crate) fn runner(&self, peer: Peer<'_>) -> Result<Secret, Failure> {
        let kept = self.kept.as_ref().map(|kept| &kept.runner);
        let given = self.settings.runner_secret.as_ref();
        self.secret(peer, "runner_secret", given, kept)
    }

    /// What a server wants of whoever sends spans.
    ///
    /// # Errors
    /// As [`Credentials::admin`].
    pub(crate) fn ingest(&self, peer: Peer<'_>) -> Result<Secret, Failure> {
        let kept = self.kept.as_ref().map(|kept| &kept.ingest);
        let given = self.settings.ingest_key.as_ref();
        self.secret(peer, "ingest_key", given, kept)
    }

    fn secret(
        &self,
        peer: Peer<'_>,
        key: &str,
        given: Option<&SecretText>,
        kept: Option<&Secret>,
    ) -> Result<Secret, Failure> {
        let trust = self.trust(peer);
        let given = given.map(|text| &text.0);
        let given =
            given.filter(|_| trust != Trust::Nobody || self.settings.is_of_current_folder(key));
        let kept = kept.filter(|_| trust == Trust::ThisMachine);
        let secret = given.or(kept).cloned();
        secret.ok_or_else(|| self.missing(peer, key, trust))
    }

    fn trust(&self, peer: Peer<'_>) -> Trust {
        let (key, url) = match peer {
            Peer::Found => return Trust::ThisMachine,
            Peer::Server(url) => ("server", url),
            Peer::Broker(url) => ("broker", url),
        };
        let held = self.holder.as_ref();
        let held = held.map_or([None, None], |holder| [holder.server, holder.broker]);
        if held.into_iter().flatten().any(|held| url.is_at(held)) {
            return Trust::ThisMachine;
        }
        if self.settings.is_of_current_folder(key) {
            return Trust::Nobody;
        }
        match url.is_on_loopback() {
            true => Trust::ThisMachine,
            false => Trust::User,
        }
    }

    fn missing(&self, peer: Peer<'_>, key: &str, trust: Trust) -> Failure {
        let what = key.replace('_', " ");
        let (of, flag) = match peer {
            Peer::Found => (String::new(), ""),
            Peer::Server(url) => (format!(" for the server at {url}"), "server"),
            Peer::Broker(url) => (format!(" for the broker at {url}"), "broker"),
        };
        let variable = format!("HOPLINE_{}", key.to_uppercase());
        let folder = self.settings.data_folder().display();
        let told = match trust {
            Trust::ThisMachine => format!(
                "no {what}{of}: give the server's as {variable}, or its data folder with --data ({folder} has none)"
            ),
            Trust::User => format!(
                "no {what}{of}: it is not on this machine, so the data folder's is not shown to it: give its own as {variable}"
            ),
            Trust::Nobody => format!(
                "no {what}{of}: hopline.toml in the current folder names it, and such a file may be anyone's, so it is \
                 shown no secret that stands elsewhere: name it yourself, with --{flag} or HOPLINE_{}",
                flag.to_uppercase()
            ),
        };
        Failure::new(exit::FORBIDDEN, told)
    }
}

/// Refuses to call a broker with the server's own runner secret, if only the current folder's file names it.
///
/// # Errors
/// A [`Failure`] that says what to do.
pub(crate) fn check_servers_broker(settings: &Settings) -> Result<(), Failure> {
    let Some(broker) = &settings.broker else {
        return Ok(());
    };
    let of_file = |key| settings.is_of_current_folder(key);
    if !of_file("broker") || of_file("runner_secret") {
        return Ok(());
    }
    let told = format!(
        "call the broker at {broker}: hopline.toml in the current folder names it, and such a file may be anyone's, so it \
         is shown no secret that stands elsewhere: name it yourself, with HOPLINE_BROKER"
    );
    Err(Failure::new(exit::FORBIDDEN, told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{self, Flags};
    use std::path::Path;

    /// Settings of a folder in which `hopline.toml` says this, and of an environment.
    fn loaded(folder: &Path, file: &str, variables: &[(&str, &str)]) -> Settings {
        let current = folder.join("checkout");
        std::fs::create_dir_all(&current).unwrap();
        std::fs::write(current.join("hopline.toml"), file).unwrap();
        let data = folder.join("data");
        DataFolder::at(&data).secrets_or_new().unwrap();
        let data = [("HOPLINE_DATA", data.to_str().unwrap())];
        let variables = variables.iter().chain(&data);
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        settings::load(Flags::default(), variables.collect::<Vec<_>>(), &current).unwrap()
    }

    /// What the server that the settings name is shown: nothing, what is kept in the data folder, or what was given.
    fn shown(settings: &Settings) -> Result<&'static str, String> {
        let credentials = Credentials::read(settings).unwrap();
        let server = settings.server.as_ref();
        let secret = credentials.admin(server.map_or(Peer::Found, Peer::Server));
        let secret = secret.map_err(|failure| failure.to_string())?;
        let kept = &credentials.kept.as_ref().unwrap().admin;
        Ok(match secret.matches(kept.expose()) {
            true => "kept",
            false => "given",
        })
    }

    #[test]
    fn each_address_is_shown_what_its_own_source_vouches_for() {
        let folder = tempfile::tempdir().unwrap();
        let (far, near) = ("https://hopline.example", "http://127.0.0.1:1");
        let server = |url| ("HOPLINE_SERVER", url);
        let secret = ("HOPLINE_ADMIN_SECRET", "given");
        let file = |url: &str| format!("server = \"{url}\"\n");
        let with_secret = format!("{}admin_secret = \"given\"\n", file(far));
        let table: [(&str, &[_], Option<&str>); 9] = [
            ("", &[], Some("kept")),
            ("", &[server(near)], Some("kept")),
            ("", &[server("http://localhost:1")], Some("kept")),
            ("", &[server(far)], None),
            ("", &[server(far), secret], Some("given")),
            (&file(near), &[], None),
            (&file(far), &[secret], None),
            (&file(far), &[server(near)], Some("kept")),
            (&with_secret, &[], Some("given")),
        ];
        for (file, variables, expected) in table {
            let settings = loaded(folder.path(), file, variables);
            let shown = shown(&settings);
            assert_eq!(
                shown.as_deref().ok(),
                expected,
                "{file:?} {variables:?} {shown:?}"
            );
        }
    }

    #[test]
    fn the_holders_address_is_trusted_whoever_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = "server = \"http://127.0.0.1:4711\"\n";
        let settings = loaded(folder.path(), file, &[]);
        let told = shown(&settings).unwrap_err();
        assert!(told.contains("--server or HOPLINE_SERVER"), "{told}");
        let mut hold = DataFolder::at(settings.data_folder()).hold().unwrap();
        hold.announce("0.0.0.0:4711".parse().unwrap(), None)
            .unwrap();
        assert_eq!(shown(&settings).unwrap(), "kept");
        hold.announce("127.0.0.1:4712".parse().unwrap(), None)
            .unwrap();
        shown(&settings).unwrap_err();
    }
}
