//! One command as the processor knows it, and where an event stands among its events.

use std::sync::Arc;

use hopline_state::rows::UNKNOWN_COMMAND;
use hopline_state::store::LoadedCommand;
use hopline_wire::command::CommandType;
use hopline_wire::event::EventType;
use hopline_wire::span::{EventKeys, Text};
use uuid::Uuid;

use crate::fold::{Build, CommandFold};
use crate::incoming::Incoming;

/// A command between two commits: a copy of what the database says, to be dropped whenever there is doubt.
#[derive(Debug)]
pub(crate) struct CommandState {
    /// The command.
    pub(crate) id: Arc<str>,
    /// Whether it has a row.
    pub(crate) exists: bool,
    /// Where it stands.
    pub(crate) position: Position,
    /// The runner that it was given to.
    pub(crate) runner_id: Option<String>,
    /// Its project, if it is there, as events name it.
    pub(crate) project: Option<Arc<str>>,
    /// Its project's name.
    pub(crate) project_name: String,
    /// The build's id, as spans name it.
    pub(crate) session: Option<Arc<str>>,
    /// What its events are folded into.
    pub(crate) fold: CommandFold,
    /// How many decisions on its build are in that.
    pub(crate) decisions: u64,
    /// Whether the full state of its ended build is still to be written.
    pub(crate) state_due: bool,
}

impl CommandState {
    /// A command as its rows tell it.
    pub(crate) fn load(id: Arc<str>, loaded: LoadedCommand) -> Self {
        let row = loaded.command;
        let build = loaded
            .session
            .map(|(session, fold)| Build::load(session, fold.as_deref()));
        Self {
            id,
            exists: true,
            position: Position {
                last_seq: row.last_seq,
                link: row
                    .link
                    .map(|link| (link.into(), row.link_seq.unwrap_or(0))),
            },
            runner_id: row.runner_id.filter(|_| row.kind != UNKNOWN_COMMAND),
            project: row.project_id.map(as_text),
            project_name: loaded.project_name.unwrap_or_default(),
            session: build.as_ref().map(|build| as_text(build.id())),
            fold: CommandFold {
                kind: CommandType::named(&row.kind),
                project_id: row.project_id,
                has_ended: row.ended_at.is_some(),
                build,
            },
            decisions: loaded.decisions,
            state_due: loaded.raw_state_due,
        }
    }

    /// A command that the server never gave.
    pub(crate) fn unknown(id: Arc<str>) -> Self {
        Self {
            id,
            exists: false,
            position: Position::default(),
            runner_id: None,
            project: None,
            project_name: String::new(),
            session: None,
            fold: CommandFold {
                kind: None,
                project_id: None,
                has_ended: false,
                build: None,
            },
            decisions: 0,
            state_due: false,
        }
    }

    /// Tells an unknown command the project that its events name.
    pub(crate) fn set_project(&mut self, id: Uuid) {
        self.project = Some(as_text(id));
        self.fold.project_id = Some(id);
    }

    /// What spans of several of its events say of them.
    pub(crate) fn event_keys(&self) -> EventKeys {
        let shared =
            |text: Option<&Arc<str>>| text.map_or(Text::EMPTY, |text| Arc::clone(text).into());
        EventKeys {
            project_id: shared(self.project.as_ref()),
            command_id: shared(Some(&self.id)),
            session_id: shared(self.session.as_ref()),
            ..EventKeys::default()
        }
    }
}

fn as_text(id: Uuid) -> Arc<str> {
    id.hyphenated().to_string().into()
}

/// Where a command stands among its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The last settled sequence number.
    pub(crate) last_seq: u64,
    /// The connection that the last unnumbered event came on, and its number there.
    pub(crate) link: Option<(Arc<str>, u64)>,
}

/// What an event's numbers say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the next one, and gets this number.
    Next(u64),
    /// It was settled before.
    Settled,
    /// Events before it are missing.
    Gap,
}

impl Position {
    /// Where `event` stands.
    pub(crate) fn place(&self, event: &Incoming) -> Place {
        let next = self.last_seq + 1;
        let Some(seq) = event.seq() else {
            return match (event.link(), &self.link) {
                (Some((link, number)), Some((last_link, last))) if link == last_link => {
                    if number <= *last {
                        Place::Settled
                    } else {
                        Place::Next(next)
                    }
                }
                _ => Place::Next(next),
            };
        };
        if seq < next {
            Place::Settled
        } else if seq == next || self.stands_for_missing(event) {
            Place::Next(seq)
        } else {
            Place::Gap
        }
    }

    /// Whether the event says of all the missing ones before it that they will not come.
    fn stands_for_missing(&self, event: &Incoming) -> bool {
        event.event_type() == Some(EventType::EventsLost)
            && crate::fold::lost_range(event)
                .from
                .is_none_or(|from| from <= self.last_seq + 1)
    }

    /// Notes that `event` has taken the number `seq`.
    pub(crate) fn advance(&mut self, event: &Incoming, seq: u64) {
        self.last_seq = seq;
        if event.seq().is_none()
            && let Some((link, number)) = event.link()
        {
            self.link = Some((Arc::clone(link), number));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hopline_wire::Timestamp;

    use super::*;
    use crate::incoming::Reader;

    fn event(fields: &str) -> Incoming {
        let json = format!(r#"{{"type":"ack","commandId":"c",{fields}}}"#);
        Reader::default().read(Bytes::from(json), Timestamp::now())
    }

    fn at(last_seq: u64, link: Option<(&str, u64)>) -> Position {
        Position {
            last_seq,
            link: link.map(|(link, number)| (link.into(), number)),
        }
    }

    #[test]
    fn numbered_events_are_settled_next_or_beyond_a_gap() {
        let position = at(5, None);
        assert_eq!(position.place(&event(r#""seq":5"#)), Place::Settled);
        assert_eq!(position.place(&event(r#""seq":6"#)), Place::Next(6));
        assert_eq!(position.place(&event(r#""seq":7"#)), Place::Gap);
    }

    #[test]
    fn an_unnumbered_event_is_new_unless_its_place_on_the_link_was_taken() {
        let position = at(5, Some(("l", 8)));
        for (fields, place) in [
            (r#""link":"l","linkSeq":8"#, Place::Settled),
            (r#""link":"l","linkSeq":11"#, Place::Next(6)),
            (r#""link":"m","linkSeq":1"#, Place::Next(6)),
            (r#""link":"m""#, Place::Next(6)),
            (r#""x":1"#, Place::Next(6)),
        ] {
            assert_eq!(position.place(&event(fields)), place, "{fields}");
        }
    }

    #[test]
    fn lost_events_are_stood_for_only_if_none_before_them_is_missing() {
        let lost = |fields: &str| {
            let json = format!(r#"{{"type":"events-lost","commandId":"c",{fields}}}"#);
            Reader::default().read(Bytes::from(json), Timestamp::now())
        };
        let position = at(5, None);
        let place = |fields: &str| position.place(&lost(fields));
        assert_eq!(place(r#""seq":9,"from":6,"to":9"#), Place::Next(9));
        assert_eq!(place(r#""seq":9,"from":4,"to":9"#), Place::Next(9));
        assert_eq!(place(r#""seq":9,"from":7,"to":9"#), Place::Gap);
        assert_eq!(place(r#""seq":5,"from":3,"to":5"#), Place::Settled);
    }
}
