//! Settings that are more than a text or a number, and how they are read.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hopline_state::postgres::Address;
use hopline_wire::event::Tracing;
use hopline_wire::secret::Secret;
use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize, de};

/// Reads a setting out of a text; what [`FromStr`] objects to is what was expected.
fn from_text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err = String>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

/// A database of rows.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    /// SQLite in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL database, which several servers may share.
    Postgres(Box<Address>),
}

impl FromStr for Database {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(Box::new(text.parse()?))),
            _ => Err("expected sqlite:PATH or postgres://USER@HOST:PORT/DATABASE".into()),
        }
    }
}

impl<'de> Deserialize<'de> for Database {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// The address of a server, broker or collector. `http` or `https`; of a broker `ws` and `wss` mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl(Url);

impl BaseUrl {
    /// Without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// Whether it leads to this machine, whatever the network.
    pub(crate) fn is_on_loopback(&self) -> bool {
        match self.ip() {
            Some(ip) => ip.is_loopback() || ip.is_unspecified(),
            None => self.0.host_str() == Some("localhost"),
        }
    }

    /// Whether it leads to what listens there, on this machine.
    pub(crate) fn is_at(&self, listening: SocketAddr) -> bool {
        let there = listening.ip();
        let same_host = match self.ip() {
            Some(ip) if ip.is_unspecified() => there.is_loopback() || there.is_unspecified(),
            Some(ip) => ip == there || (ip.is_loopback() && there.is_unspecified()),
            None => self.is_on_loopback() && (there.is_loopback() || there.is_unspecified()),
        };
        same_host && self.0.port_or_known_default() == Some(listening.port())
    }

    fn ip(&self) -> Option<IpAddr> {
        let host = self.0.host_str()?;
        host.trim_matches(['[', ']']).parse().ok()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected an address such as http://127.0.0.1:4700".to_owned();
        let text = match text.split_once("://") {
            Some(("ws", rest)) => format!("http://{rest}"),
            Some(("wss", rest)) => format!("https://{rest}"),
            _ => text.to_owned(),
        };
        let url = Url::parse(&text).map_err(|_| expected())?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(expected());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("expected an address without credentials".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("expected an address without ? and #".into());
        }
        Ok(Self(url))
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How long something takes, as a whole number and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

/// The units of a [`Period`], the largest first, and their seconds.
const UNITS: [(&str, u64); 4] = [("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1)];

impl Period {
    /// So many of the days that have 24 hours.
    pub(crate) const fn days(count: u64) -> Self {
        Self(Duration::from_secs(count * UNITS[0].1))
    }

    /// So many seconds.
    pub(crate) const fn seconds(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }

    /// So many minutes.
    pub(crate) const fn minutes(count: u64) -> Self {
        Self(Duration::from_secs(count * 60))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let unit = UNITS.iter().find(|(_, unit)| seconds.is_multiple_of(*unit));
        let (name, unit) = unit.unwrap_or(&("s", 1));
        write!(f, "{}{name}", seconds / unit)
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a time such as 30m, 12h or 7d".to_owned();
        let unit = UNITS
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)));
        let (number, unit) = unit.ok_or_else(expected)?;
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = number.parse().map_err(|_| expected())?;
        match number.checked_mul(*unit) {
            // So many years are as good as any more.
            Some(seconds) if is_plain && (1..=100 * 366 * UNITS[0].1).contains(&seconds) => {
                Ok(Self(Duration::from_secs(seconds)))
            }
            _ => Err(expected()),
        }
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How long something is kept; none: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention(pub(crate) Option<Period>);

/// What asks for something to be kept for ever.
const NEVER: &str = "never";

impl FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            NEVER | "0" => Ok(Self(None)),
            text => match text.parse() {
                Ok(period) => Ok(Self(Some(period))),
                Err(expected) => Err(format!("{expected}, or {NEVER}")),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl Serialize for Retention {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(period) => serializer.collect_str(period),
            None => serializer.serialize_str(NEVER),
        }
    }
}

/// A share, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate(pub(crate) f64);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rate = f64::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&rate) {
            Ok(Self(rate))
        } else {
            Err(de::Error::custom("expected a number from 0 to 1"))
        }
    }
}

/// A secret given as a setting.
#[derive(Debug, Clone)]
pub(crate) struct SecretText(pub(crate) Secret);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The deserialiser's own complaint would quote what it found.
        let text = String::deserialize(deserializer)
            .map_err(|_| de::Error::custom("expected a text in quotes"))?;
        // What cannot stand in a header would fail far from here.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(de::Error::custom(
                "expected visible ASCII characters without spaces",
            ));
        }
        Ok(Self(Secret::new(&text)))
    }
}

/// What is used of a Sentry DSN (Sentry SDK specification, "DSN"):
/// `https://<public key>@o<organisation>.ingest.sentry.io/<project>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dsn {
    /// Goes into the sampling context of traces.
    pub(crate) public_key: String,
    /// Likewise, where the host names it.
    pub(crate) org_id: Option<String>,
    /// Where its project takes envelopes.
    pub(crate) envelopes: String,
}

impl FromStr for Dsn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected https://PUBLIC_KEY@HOST/PROJECT".to_owned();
        let url = Url::parse(text).map_err(|_| expected())?;
        let path = url.path().trim_end_matches('/');
        let (above, project) = path.rsplit_once('/').ok_or_else(expected)?;
        if url.username().is_empty() || project.is_empty() {
            return Err(expected());
        }
        let envelopes = format!(
            "{}{above}/api/{project}/envelope/",
            url.origin().ascii_serialization()
        );
        let first = url.host_str().ok_or_else(expected)?.split('.').next();
        let org_id = first
            .and_then(|label| label.strip_prefix('o'))
            .filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
        Ok(Self {
            public_key: url.username().to_owned(),
            org_id: org_id.map(str::to_owned),
            envelopes,
        })
    }
}

impl<'de> Deserialize<'de> for Dsn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// Whose trace a command's request belongs to, unless it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TraceHead {
    /// A new one, linked to the caller's span.
    #[default]
    New,
    /// The caller's, where it has one.
    Continue,
}

/// What carries spans to an OTLP endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OtlpProtocol {
    /// Requests of HTTP.
    #[default]
    Http,
    /// Calls of gRPC.
    Grpc,
}

/// How an event takes part in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventTracing {
    /// Every hop makes a span of it.
    Traced,
    /// It carries its trace; hops make no span of it.
    Carried,
    /// It has nothing to do with any trace.
    Never,
}

impl EventTracing {
    /// The same, as the parts know it.
    pub(crate) const fn tracing(self) -> Tracing {
        match self {
            Self::Traced => Tracing::Traced,
            Self::Carried => Tracing::Carried,
            Self::Never => Tracing::Never,
        }
    }
}

/// How log records are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogStyle {
    /// A line for people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_brokers_may_be_websocket_ones() {
        let url: BaseUrl = "ws://127.0.0.1:4701/".parse().unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:4701");
        for wrong in [
            "127.0.0.1:4701",
            "file:///x",
            "http://a:b@c/",
            "http://a/?x=1",
        ] {
            assert!(wrong.parse::<BaseUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("36h", 129_600),
            ("7d", 604_800),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(
                (period.0.as_secs(), period.to_string()),
                (seconds, text.to_owned())
            );
        }
        assert_eq!("120m".parse::<Period>().unwrap().to_string(), "2h");
        for wrong in [
            "",
            "7",
            "d",
            "0d",
            "-1d",
            "+1d",
            "1.5h",
            "7 d",
            "1w",
            "99999999999999999d",
        ] {
            let problem = wrong.parse::<Period>().unwrap_err();
            assert!(problem.contains("30m"), "{wrong}");
        }
        for never in ["never", "0"] {
            assert_eq!(never.parse(), Ok(Retention(None)));
        }
        assert_eq!("7d".parse(), Ok(Retention(Some(Period::days(7)))));
        let problem = "soon".parse::<Retention>().unwrap_err();
        assert!(problem.contains("never"), "{problem}");
    }

    #[test]
    fn a_dsn_gives_its_key_and_the_organisation_in_its_host() {
        let dsn: Dsn = "https://abc@o42.ingest.sentry.io/7".parse().unwrap();
        assert_eq!(
            (dsn.public_key.as_str(), dsn.org_id.as_deref()),
            ("abc", Some("42"))
        );
        let own: Dsn = "http://abc@sentry.example/7".parse().unwrap();
        assert_eq!(own.org_id, None);
        for (dsn, envelopes) in [
            (dsn, "https://o42.ingest.sentry.io/api/7/envelope/"),
            (own, "http://sentry.example/api/7/envelope/"),
            (
                "http://abc@sentry.example:9000/below/7".parse().unwrap(),
                "http://sentry.example:9000/below/api/7/envelope/",
            ),
        ] {
            assert_eq!(dsn.envelopes, envelopes);
        }
        assert!("https://o42.ingest.sentry.io/7".parse::<Dsn>().is_err());
    }
}
