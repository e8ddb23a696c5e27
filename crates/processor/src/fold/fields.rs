//! The fields that an event has of its own, read one by one: what is wrong with one does not keep the others from
//! being read, and is told in the words that an event's head uses.

use std::collections::HashMap;

use hopline_wire::ingest::RejectCode;
use hopline_wire::text;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::Refusal;

/// The members of an object. One that is `null` is not there; of one that is there twice the last counts, as for
/// JavaScript.
pub(super) struct Fields<'a> {
    /// What the object's members are called by: nothing, or the object's own name and a dot.
    path: String,
    members: HashMap<String, &'a RawValue>,
}

/// What a field was expected to be.
type Read<T> = Result<T, Refusal>;

impl<'a> Fields<'a> {
    /// The members of an event, which is an object: its head was read.
    pub(super) fn of_event(json: &'a str) -> Self {
        Self {
            path: String::new(),
            members: serde_json::from_str(json).unwrap_or_default(),
        }
    }

    fn there(&self, name: &str) -> Option<&'a RawValue> {
        let raw = self.members.get(name).copied();
        raw.filter(|raw| raw.get() != "null")
    }

    fn wrong(&self, name: &str, expected: &str) -> Refusal {
        let error = format!("expected {}{name} to be {expected}", self.path);
        Refusal::new(RejectCode::BadEvent, error)
    }

    fn typed<T: DeserializeOwned>(&self, name: &str, expected: &str) -> Read<Option<T>> {
        let read = self
            .there(name)
            .map(|raw| serde_json::from_str(raw.get()).map_err(|_| self.wrong(name, expected)));
        read.transpose()
    }

    /// A text, if it is there.
    pub(super) fn text(&self, name: &str) -> Read<Option<String>> {
        self.typed(name, "a text")
    }

    /// A text that must be there.
    pub(super) fn needs_text(&self, name: &str) -> Read<()> {
        let text = self.there(name).and_then(text::string);
        text.map(|_| ()).ok_or_else(|| self.wrong(name, "a text"))
    }

    /// An exit code, if it is there.
    pub(super) fn exit_code(&self) -> Read<Option<i32>> {
        self.typed("exitCode", "a whole number of 32 bits")
    }

    /// A port, if it is there.
    pub(super) fn port(&self) -> Read<Option<u16>> {
        self.typed("port", "a whole number up to 65535")
    }

    /// A port that must be there.
    pub(super) fn needs_port(&self) -> Read<u16> {
        let port = self.port()?;
        port.ok_or_else(|| self.wrong("port", "a whole number up to 65535"))
    }

    /// A number that counts something, if it is there.
    pub(super) fn count(&self, name: &str) -> Read<Option<u64>> {
        self.typed(name, "a whole number from 0")
    }

    /// An object's members; none if it is not there.
    pub(super) fn object(&self, name: &str) -> Read<Self> {
        let members = match self.there(name) {
            None => HashMap::new(),
            Some(raw) => {
                serde_json::from_str(raw.get()).map_err(|_| self.wrong(name, "an object"))?
            }
        };
        Ok(Self {
            path: format!("{}{name}.", self.path),
            members,
        })
    }

    /// The members of an object that must be there.
    pub(super) fn needs_object(&self, name: &str) -> Read<Self> {
        match self.there(name) {
            Some(_) => self.object(name),
            None => Err(self.wrong(name, "an object")),
        }
    }

    /// The members of each object in a list that must be there.
    pub(super) fn needs_objects(&self, name: &str) -> Read<Vec<Self>> {
        let expected = "a list of objects";
        let list: Option<Vec<HashMap<String, &'a RawValue>>> = self
            .there(name)
            .and_then(|raw| serde_json::from_str(raw.get()).ok());
        let list = list.ok_or_else(|| self.wrong(name, expected))?;
        let fields = list.into_iter().enumerate().map(|(place, members)| Self {
            path: format!("{}{name}[{place}].", self.path),
            members,
        });
        Ok(fields.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T>(read: Read<T>) -> String {
        read.err().map(|refusal| refusal.error).unwrap_or_default()
    }

    #[test]
    fn what_is_null_is_absent_and_what_is_wrong_is_told_by_its_name() {
        let json = r#"{"a":null,"error":5,"exitCode":null,"port":70000,"payload":{"path":[],"port":1},"files":[{},5]}"#;
        let fields = Fields::of_event(json);
        assert_eq!(fields.text("a"), Ok(None));
        assert_eq!(fields.text("b"), Ok(None));
        assert_eq!(fields.exit_code(), Ok(None));
        assert_eq!(told(fields.text("error")), "expected error to be a text");
        assert_eq!(told(fields.needs_text("a")), "expected a to be a text");
        assert_eq!(
            told(fields.port()),
            "expected port to be a whole number up to 65535"
        );
        let payload = fields.object("payload").ok().unwrap();
        assert_eq!(payload.port(), Ok(Some(1)));
        assert_eq!(
            told(payload.text("path")),
            "expected payload.path to be a text"
        );
        assert!(fields.object("a").is_ok() && fields.needs_object("a").is_err());
        assert_eq!(
            told(fields.object("error")),
            "expected error to be an object"
        );
        assert_eq!(
            told(fields.needs_objects("files")),
            "expected files to be a list of objects"
        );
    }
}
