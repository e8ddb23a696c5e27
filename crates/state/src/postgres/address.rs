//! The address of a PostgreSQL database: a connection URI as libpq reads it
//! (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>).
//!
//! `sslmode` means what it means to libpq, with one difference: where it is not given, a database on this machine
//! (a Unix socket or a loopback address) is spoken to as it is, and any other with `verify-full`. So nobody talks to a
//! stranger unencrypted, or to anyone who happens to answer, without having said so.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// What was expected, as mistakes are told.
const EXPECTED: &str = "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE";

/// How long a server that does not answer is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After how long without an answer the network is taken for broken.
const USER_TIMEOUT: Duration = Duration::from_secs(15);

/// What the database itself is told to give up after, in milliseconds: a statement, a wait for a lock, a transaction whose
/// owner has gone without a word. A commit that takes two seconds is slow and still one.
const LIMITS: &str =
    "-c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=15000";

/// Where a database is, and how it is spoken to.
#[derive(Clone)]
pub struct Address {
    pub(super) config: Config,
    pub(super) encryption: Encryption,
    /// Files with certificates of authorities that are trusted beside those of the system.
    pub(super) root_certificates: Option<PathBuf>,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    /// Not at all.
    None,
    /// Encrypted, to whoever answers.
    Unverified,
    /// Encrypted, to someone with a certificate of a trusted authority.
    VerifyAuthority,
    /// Encrypted, to the host that was named.
    VerifyFull,
}

impl FromStr for Address {
    type Err = String;

    /// # Errors
    /// What was expected instead. It names no part of what was given that could be a secret.
    fn from_str(text: &str) -> Result<Self, String> {
        let (text, ssl_mode, root_certificates) = without_tls_settings(text)?;
        let mut config: Config = text.parse().map_err(|error| told(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(format!("{EXPECTED}, got none that names a host"));
        }
        let (encryption, ssl) = match ssl_mode.as_deref() {
            Some("disable") => (Encryption::None, SslMode::Disable),
            Some("prefer") => (Encryption::Unverified, SslMode::Prefer),
            // As libpq has it: a file of authorities is there to be used.
            Some("require") if root_certificates.is_some() => {
                (Encryption::VerifyAuthority, SslMode::Require)
            }
            Some("require") => (Encryption::Unverified, SslMode::Require),
            Some("verify-ca") => (Encryption::VerifyAuthority, SslMode::Require),
            Some("verify-full") => (Encryption::VerifyFull, SslMode::Require),
            Some(_) => {
                return Err(
                    "expected sslmode to be disable, prefer, require, verify-ca or verify-full"
                        .into(),
                );
            }
            None if is_on_this_machine(&config) => (Encryption::None, SslMode::Disable),
            None => (Encryption::VerifyFull, SslMode::Require),
        };
        config.ssl_mode(ssl);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(USER_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("hopline");
        }
        // What the address says comes later, and so counts.
        let options = match config.get_options() {
            Some(options) => format!("{LIMITS} {options}"),
            None => LIMITS.to_owned(),
        };
        config.options(options);
        Ok(Self {
            config,
            encryption,
            root_certificates,
        })
    }
}

/// The address without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.config.get_ports();
        let port = |place: usize| ports.get(place).or(ports.first()).copied().unwrap_or(5432);
        f.write_str("postgres://")?;
        for (place, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match host {
                Host::Tcp(host) => write!(f, "{comma}{host}:{}", port(place))?,
                Host::Unix(path) => write!(f, "{comma}{}:{}", path.display(), port(place))?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
            && self.encryption == other.encryption
            && self.root_certificates == other.root_certificates
    }
}

impl Eq for Address {}

/// The address without what the driver does not know of TLS, the mode and the file of authorities.
fn without_tls_settings(text: &str) -> Result<(String, Option<String>, Option<PathBuf>), String> {
    let scheme = ["postgres://", "postgresql://"];
    if !scheme.iter().any(|scheme| text.starts_with(scheme)) {
        return Err(EXPECTED.into());
    }
    let (base, query) = text.split_once('?').unwrap_or((text, ""));
    let (mut kept, mut mode, mut certificates) = (Vec::new(), None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => certificates = Some(PathBuf::from(decoded(value)?)),
            Some(("sslcert" | "sslkey" | "sslcrl" | "sslpassword", _)) => {
                return Err("expected no client certificate: they are not supported".into());
            }
            _ => kept.push(pair),
        }
    }
    let mark = if kept.is_empty() { "" } else { "?" };
    Ok((
        format!("{base}{mark}{}", kept.join("&")),
        mode,
        certificates,
    ))
}

/// A value of a URI's query, its percent signs resolved.
fn decoded(value: &str) -> Result<String, String> {
    let wrong = || "expected sslrootcert to be a path, its odd bytes as %XX".to_owned();
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()];
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = digit(digits[0]).zip(digit(digits[1])).ok_or_else(wrong)?;
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

fn is_on_this_machine(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(host) => {
            let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
            host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
        }
    });
    named && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

/// What the driver says of an address that it cannot read: it names keys, never values.
fn told(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error);
    match cause {
        Some(cause) => format!("{EXPECTED}: {cause}"),
        None => EXPECTED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encryption(text: &str) -> Encryption {
        text.parse::<Address>().unwrap().encryption
    }

    #[test]
    fn strangers_are_verified_and_this_machine_is_spoken_to_as_it_is() {
        for (text, expected) in [
            ("postgres://u@127.0.0.1/db", Encryption::None),
            (
                "postgres://u@%2Fvar%2Frun%2Fpostgresql/db",
                Encryption::None,
            ),
            ("postgresql://u@localhost:5433/db", Encryption::None),
            ("postgres://u@db.example/db", Encryption::VerifyFull),
            (
                "postgres://u@localhost,db.example/db",
                Encryption::VerifyFull,
            ),
            (
                "postgres://u@db.example/db?sslmode=disable",
                Encryption::None,
            ),
            (
                "postgres://u@db.example/db?sslmode=require",
                Encryption::Unverified,
            ),
            (
                "postgres://u@db.example/db?sslmode=require&sslrootcert=%2Fca%20s.pem",
                Encryption::VerifyAuthority,
            ),
            (
                "postgres://u@localhost/db?sslmode=verify-ca",
                Encryption::VerifyAuthority,
            ),
        ] {
            assert_eq!(encryption(text), expected, "{text}");
        }
        let address: Address = "postgres://u@h/db?sslrootcert=%2Fca%20s.pem&connect_timeout=7"
            .parse()
            .unwrap();
        assert_eq!(address.root_certificates, Some("/ca s.pem".into()));
        let timeout = address.config.get_connect_timeout();
        assert_eq!(timeout, Some(&Duration::from_secs(7)));
    }

    #[test]
    fn a_mistake_is_told_without_the_password() {
        for wrong in [
            "mysql://u:hunter22@h/db",
            "postgres://u:hunter22@h/db?sslmode=always",
            "postgres://u:hunter22@h/db?colour=red",
            "postgres://u:hunter22@h:port/db",
            "postgres://u:hunter22@h/db?sslrootcert=%zz",
            "postgres:///db?password=hunter22",
        ] {
            let error = wrong.parse::<Address>().unwrap_err();
            assert!(error.contains("expected"), "{wrong}: {error}");
            assert!(!error.contains("hunter22"), "{error}");
        }
        let address: Address = "postgres://u:hunter22@h:7/db".parse().unwrap();
        assert_eq!(
            format!("{address} {address:?}").matches("hunter22").count(),
            0
        );
        assert_eq!(address.to_string(), "postgres://h:7/db");
    }
}
