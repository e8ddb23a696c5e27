//! The server's answer, read leniently: a code that this broker does not know is still a reason, and an
//! answer without `acked` is told from one that acknowledges nothing.

use std::collections::HashMap;

use serde::Deserialize;

/// What the server says of each command; see [`hopline_wire::ingest::IngestReply`] for the fields.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Reply {
    /// None from servers that know nothing of acknowledgements.
    #[serde(default)]
    acked: Option<HashMap<String, u64>>,
    #[serde(default)]
    rejected: Vec<Rejected>,
    #[serde(default)]
    gaps: HashMap<String, u64>,
    /// Whether what the answer does not name is applied: all but 409.
    #[serde(skip)]
    pub(crate) applied: bool,
}

/// One event refused for good.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rejected {
    #[serde(default)]
    command_id: Option<String>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) error: String,
}

impl Reply {
    /// Reads the body of an answer; none if it is not of a server that acknowledges.
    pub(crate) fn read(body: &[u8], applied: bool) -> Option<Self> {
        let reply: Self = serde_json::from_slice(body).ok()?;
        let knows = reply.acked.is_some() || (!applied && !reply.gaps.is_empty());
        knows.then_some(Self { applied, ..reply })
    }

    /// How far the command is settled.
    pub(super) fn acked(&self, command: &str) -> Option<u64> {
        self.acked.as_ref()?.get(command).copied()
    }

    /// The number that is missing of the command.
    pub(super) fn gap(&self, command: &str) -> Option<u64> {
        // Numbers begin with one, whatever the server says.
        self.gaps.get(command).map(|gap| *gap.max(&1))
    }

    /// Why this event was refused, if it was.
    pub(super) fn rejection(&self, command: &str, seq: Option<u64>) -> Option<&Rejected> {
        self.rejections(command, seq).next()
    }

    /// How many events without a number were refused of the command.
    pub(super) fn unnumbered_rejections(&self, command: &str) -> usize {
        self.rejections(command, None).count()
    }

    fn rejections(&self, command: &str, seq: Option<u64>) -> impl Iterator<Item = &Rejected> {
        self.rejected.iter().filter(move |rejected| {
            // Without a command a number says nothing, and is not among what is held.
            (rejected.seq == seq || command.is_empty())
                && rejected.command_id.as_deref().unwrap_or_default() == command
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_acknowledges_is_told_from_one_that_does_not() {
        assert_eq!(Reply::read(br#"{"ok":true}"#, true), None);
        assert_eq!(Reply::read(b"OK", true), None);
        assert!(Reply::read(br#"{"ok":true,"acked":{}}"#, true).is_some());
        assert!(Reply::read(br#"{"gaps":{"c":3}}"#, false).is_some());
        let reply = Reply::read(
            br#"{"acked":{"c":3},"rejected":[{"commandId":"c","seq":2,"code":"new_code","error":"e"}],"later":1}"#,
            true,
        )
        .unwrap();
        assert_eq!(reply.acked("c"), Some(3));
        assert_eq!(reply.rejection("c", Some(2)).unwrap().code, "new_code");
        assert_eq!(reply.rejection("c", Some(3)), None);
    }
}
