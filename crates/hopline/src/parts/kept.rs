//! Where, how long and how much is kept, as the settings say: but who checks out somebody's project and runs it must not lose
//! anything by the `hopline.toml` in there.

use std::time::Duration;

use crate::settings::{Retention, Settings};

/// How long the logs of builds are kept; for ever if none.
pub(crate) fn logs(settings: &Settings) -> Option<Duration> {
    period(settings, "log_retention", |settings| settings.log_retention)
}

/// How long spans are kept; for ever if none.
#[cfg(feature = "query")]
pub(crate) fn spans(settings: &Settings) -> Option<Duration> {
    period(settings, "span_retention", |settings| {
        settings.span_retention
    })
}

/// How many bytes spans may occupy.
#[cfg(feature = "query")]
pub(crate) fn span_bytes(settings: &Settings) -> u64 {
    let (asked, usual) = (settings.span_bytes, Settings::default().span_bytes);
    if asked < usual && is_a_strangers(settings, "span_bytes") {
        return usual;
    }
    asked
}

/// The bucket that spans move to, if any.
#[cfg(feature = "query")]
pub(crate) fn bucket(settings: &Settings) -> Option<&str> {
    let bucket = settings.span_bucket.as_deref()?;
    (!is_a_strangers(settings, "span_bucket")).then_some(bucket)
}

fn period(settings: &Settings, key: &str, of: impl Fn(&Settings) -> Retention) -> Option<Duration> {
    let kept = |settings: &Settings| of(settings).0.map(|period| period.0);
    let (asked, usual) = (kept(settings), kept(&Settings::default()));
    let is_shorter = asked.is_some_and(|asked| usual.is_none_or(|usual| asked < usual));
    if is_shorter && is_a_strangers(settings, key) {
        return usual;
    }
    asked
}

/// Whether a setting by which less is kept, or elsewhere, comes along with a checkout; then it is said that it is not heeded.
fn is_a_strangers(settings: &Settings, key: &str) -> bool {
    let is = settings.is_of_current_folder(key);
    if is {
        tracing::warn!(
            "{key} in the hopline.toml of the current folder is not heeded, since such a file may be anyone's: \
             set it in the data folder's hopline.toml, in the environment or by its flag"
        );
    }
    is
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{self, Flags};

    fn with(here: &str, environment: Option<(&str, &str)>) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hopline.toml"), here).unwrap();
        let home = ("HOME", "/nowhere");
        let variables = std::iter::once(home).chain(environment);
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        settings::load(Flags::default(), variables, folder.path()).unwrap()
    }

    #[test]
    fn a_checkout_cannot_have_logs_removed_sooner() {
        let kept = |here: &str, environment: Option<&str>| {
            let environment = environment.map(|value| ("HOPLINE_LOG_RETENTION", value));
            logs(&with(here, environment)).map(|kept| kept.as_secs() / 3600)
        };
        let week = Some(7 * 24);
        assert_eq!(kept("", None), week);
        assert_eq!(kept("log_retention = \"1h\"\n", None), week);
        assert_eq!(kept("log_retention = \"30d\"\n", None), Some(30 * 24));
        assert_eq!(kept("log_retention = \"never\"\n", None), None);
        assert_eq!(kept("log_retention = \"1h\"\n", Some("2h")), Some(2));
    }

    #[test]
    fn a_checkout_cannot_have_spans_removed_sooner() {
        let usual = 32 << 30;
        for (here, environment, age, bytes) in [
            ("", None, None, usual),
            (
                "span_retention = \"1d\"\nspan_bytes = 1024\n",
                None,
                None,
                usual,
            ),
            ("span_bytes = 68719476736\n", None, None, 64 << 30),
            ("", Some(("HOPLINE_SPAN_RETENTION", "2d")), Some(2), usual),
            ("", Some(("HOPLINE_SPAN_BYTES", "1024")), None, 1_024),
        ] {
            let settings = with(here, environment);
            let days = spans(&settings).map(|kept| kept.as_secs() / 86_400);
            assert_eq!((days, span_bytes(&settings)), (age, bytes), "{here}");
        }
    }

    #[test]
    fn a_checkout_cannot_have_spans_sent_away() {
        let here = "span_bucket = \"s3://here\"\n";
        assert_eq!(bucket(&with(here, None)), None);
        let there = Some(("HOPLINE_SPAN_BUCKET", "s3://there/spans"));
        assert_eq!(bucket(&with(here, there)), Some("s3://there/spans"));
    }
}
