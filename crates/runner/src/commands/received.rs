//! Reading a received command, as far as it can be read: whoever sent it under an id gets an answer under that id.

use std::borrow::Cow;

use hopline_wire::command::Command;
use hopline_wire::text;
use serde::Deserialize;
use serde_json::Map;
use serde_json::value::RawValue;

use super::NoCommand;
use crate::events::Failure;

/// The members that an answer needs, each with any value at all.
#[derive(Deserialize)]
struct Head<'t> {
    #[serde(borrow)]
    id: &'t RawValue,
    #[serde(rename = "type", borrow)]
    kind: Option<&'t RawValue>,
    #[serde(rename = "projectId", borrow)]
    project_id: Option<&'t RawValue>,
    #[serde(rename = "_sentry", borrow)]
    carrier: Option<&'t RawValue>,
}

/// A command, and why it cannot be carried out if it could be read in part only.
///
/// Halves of surrogate pairs, which JavaScript writes and no text here can hold, become U+FFFD.
///
/// # Errors
/// [`NoCommand`], if there is no id to answer under.
pub(super) fn read(json: &str) -> Result<(Command, Option<Failure>), NoCommand> {
    let error = match serde_json::from_str::<Command>(json) {
        Ok(command) if command.id.is_empty() => return Err(NoCommand),
        Ok(command) => return Ok((command, None)),
        Err(error) => error,
    };
    // A NUL would be replaced as well, and a file's content must not change unseen.
    if !json.contains("\\u0000")
        && let Cow::Owned(storable) = text::storable_json(json)
        && let Ok(command) = serde_json::from_str::<Command>(&storable)
        && !command.id.is_empty()
    {
        return Ok((command, None));
    }
    let head: Head<'_> = serde_json::from_str(json).map_err(|_| NoCommand)?;
    let owned = |raw: &RawValue| text::string(raw).map(Cow::into_owned);
    let id = owned(head.id).filter(|id| !id.is_empty());
    let command = Command {
        id: id.ok_or(NoCommand)?,
        kind: head.kind.and_then(owned).unwrap_or_default(),
        project_id: head.project_id.and_then(owned),
        timestamp: None,
        carrier: head
            .carrier
            .and_then(|raw| serde_json::from_str(raw.get()).ok()),
        fields: Map::new(),
    };
    let failure = Failure::new("bad_command", format!("expected a command: {error}"));
    Ok((command, Some(failure)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_as_far_as_it_can_be() {
        let (command, failure) =
            read(r#"{"id":"c","type":"start-build","prompt":"a\ud800b"}"#).unwrap();
        assert_eq!(command.fields["prompt"], "a\u{fffd}b");
        assert_eq!(failure, None);
        for json in [
            r#"{"id":"c","type":"read-file","projectId":5}"#,
            r#"{"id":"c","type":"read-file","timestamp":1700000000000,"projectId":"p"}"#,
            r#"{"id":"c","type":"read-file","content":"\u0000\ud800"}"#,
            r#"{"id":"c"}"#,
        ] {
            let (command, failure) = read(json).unwrap();
            assert_eq!(command.id, "c");
            assert_eq!(failure.unwrap().code, "bad_command", "{json}");
        }
    }

    #[test]
    fn without_an_id_there_is_nobody_to_answer() {
        for json in ["5", "[]", "{}", r#"{"id":""}"#, r#"{"id":5,"type":"x"}"#] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
