use hopline_state::rows::{Decision, DecisionKind, Session, SessionStatus, ToolState};
use hopline_state::store::LastPart;
use hopline_wire::limits::NOTE_PART_BYTES;
use hopline_wire::part::{Part, TextKind};
use hopline_wire::{Timestamp, text};
use uuid::Uuid;

use super::changes::row_key;
use super::{Build, Changes, Moment, Stop};

fn at(seq: u64) -> Timestamp {
    Timestamp::from_millis(seq * 1_000)
}

fn build(fold: Option<&str>) -> Build {
    let session = Session {
        id: Uuid::from_u128(1),
        project_id: Uuid::from_u128(2),
        build_id: "b".into(),
        command_id: "c".into(),
        operation_type: "initial-build".into(),
        agent_id: "stream".into(),
        status: SessionStatus::Active,
        is_final: false,
        incomplete: false,
        error_message: None,
        exit_code: None,
        trace_id: None,
        last_seq: 0,
        started_at: at(0),
        ended_at: None,
        summary: None,
        created_at: at(0),
        updated_at: at(0),
    };
    Build::load(session, fold)
}

fn moment(seq: u64) -> Moment {
    Moment {
        seq,
        previous: seq - 1,
        at: at(seq),
        received: at(seq),
        legacy: false,
    }
}

/// A build and the changes of one run of events.
struct Run {
    build: Build,
    changes: Changes,
    seq: u64,
}

impl Run {
    fn new() -> Self {
        Self {
            build: build(None),
            changes: Changes::default(),
            seq: 0,
        }
    }

    fn say(&mut self, json: &str) -> Result<(), Stop> {
        let part = Part::read(json).unwrap();
        let moment = moment(self.seq + 1);
        self.build.apply(&part, &moment, &mut self.changes)?;
        self.seq += 1;
        Ok(())
    }

    fn text(&mut self, id: &str, delta: &str) -> Result<(), Stop> {
        let delta = serde_json::Value::from(delta);
        self.say(&format!(
            r#"{{"type":"text-delta","id":"{id}","delta":{delta}}}"#
        ))
    }

    /// Like [`Run::text`], for a text that is new: its row, asked for, is not there.
    fn new_text(&mut self, id: &str, delta: &str) {
        if let Err(Stop::NeedsText(kind, id)) = self.text(id, delta) {
            self.build.remember_text(kind, &id, None);
            self.text(&id, delta).unwrap();
        }
    }

    /// Ends the run, as a commit does, and gives what it changed.
    fn commit(&mut self) -> Changes {
        let changes = std::mem::take(&mut self.changes);
        let keep = hopline_state::group::RawState::Keep;
        let row = self.build.close_run(&changes, keep);
        self.build = Build::load(self.build.session.clone(), Some(&row.fold));
        changes
    }
}

const PLAN: &str = r#"{"type":"tool-input-available","toolCallId":"p","toolName":"TodoWrite","input":{"todos":[
    {"content":"a","status":"completed"},{"content":"b","status":"in_progress"},{"content":"c","status":"pending"}]}}"#;

#[test]
fn a_text_fills_its_part_and_begins_the_next_between_characters() {
    let mut run = Run::new();
    run.text("t", &"a".repeat(NOTE_PART_BYTES - 1)).unwrap();
    run.text("t", "éb").unwrap();
    let changes = run.commit();
    let parts: Vec<_> = changes
        .notes
        .iter()
        .map(|note| (note.part, note.content.len(), note.first_seq))
        .collect();
    assert_eq!(parts, [(0, NOTE_PART_BYTES - 1, 1), (1, 3, 2)]);
    run.text("t", "c").unwrap();
    let changes = run.commit();
    assert_eq!(
        (changes.notes[0].part, &*changes.notes[0].content),
        (1, "c")
    );
}

#[test]
fn a_text_that_was_forgotten_is_asked_for_and_nothing_changes_until_it_is_told() {
    let mut run = Run::new();
    for id in 0..40 {
        run.new_text(&format!("t{id}"), "x");
        run.commit();
    }
    let before = run.build.clone();
    let asked = run.text("t0", "y").unwrap_err();
    assert_eq!(asked, Stop::NeedsText(TextKind::Text, "t0".into()));
    assert_eq!(run.build.fold, before.fold);
    assert!(!run.changes.touch_state());
    let end = Some(LastPart { part: 3, bytes: 9 });
    run.build.remember_text(TextKind::Text, &"t0".into(), end);
    run.text("t0", "y").unwrap();
    assert_eq!(run.commit().notes[0].part, 3);
    run.text("t39", "y").unwrap();
}

#[test]
fn a_state_that_cannot_be_read_asks_the_rows() {
    let mut run = Run {
        build: build(Some("of tomorrow")),
        ..Run::new()
    };
    assert!(matches!(run.text("t", "x"), Err(Stop::NeedsText(..))));
    run.say(PLAN).unwrap();
    assert_eq!(run.commit().todos_removed_from, Some(3));
}

#[test]
fn a_plan_moves_what_follows_under_its_first_todo_in_progress() {
    let mut run = Run::new();
    run.text("t", "before").unwrap();
    run.say(PLAN).unwrap();
    run.say(r#"{"type":"tool-input-available","toolCallId":"c","toolName":"Read","input":1}"#)
        .unwrap();
    run.say(r#"{"type":"tool-input-available","toolCallId":"d","toolName":"Read","input":1,"todoIndex":2}"#)
        .unwrap();
    run.text("u", "after").unwrap();
    run.text("t", "more").unwrap();
    let changes = run.commit();
    let calls: Vec<_> = changes
        .tool_calls
        .iter()
        .map(|call| (call.tool_call_id.as_str(), call.todo_index))
        .collect();
    assert_eq!(calls, [("p", 1), ("c", 1), ("d", 2)]);
    let notes: Vec<_> = changes
        .notes
        .iter()
        .map(|note| (&*note.text_id, note.todo_index, note.content.as_str()))
        .collect();
    assert_eq!(notes, [("t", -1, "beforemore"), ("u", 1, "after")]);
}

#[test]
fn an_answer_without_a_question_is_a_call_of_its_own() {
    let mut run = Run::new();
    run.say(r#"{"type":"tool-output-error","toolCallId":"c","errorText":"no\u0000pe"}"#)
        .unwrap();
    let changes = run.commit();
    let call = &changes.tool_calls[0];
    assert_eq!((call.name.as_str(), call.input.as_deref()), ("", None));
    assert_eq!(
        (call.state, call.output.as_deref()),
        (ToolState::OutputError, Some("\"no\u{fffd}pe\""))
    );
    assert_eq!((call.started_at, call.ended_at), (None, Some(at(1))));
}

#[test]
fn a_plan_that_cannot_be_read_changes_nothing() {
    let mut run = Run::new();
    let bad = PLAN.replace("pending", "someday");
    assert!(matches!(run.say(&bad), Err(Stop::Refused(_))));
    assert!(!run.changes.touch_state() && run.build.active_index() == -1);
}

#[test]
fn the_state_between_commits_stays_small() {
    let mut run = Run::new();
    run.say(PLAN).unwrap();
    for id in 0..500 {
        run.new_text(&format!("{id}{}", "x".repeat(10_000)), "y");
        run.new_text(&format!("t{id}"), &"y".repeat(20_000));
        run.commit();
    }
    let stored = serde_json::to_string(&run.build.fold).unwrap();
    assert!(stored.len() < 16 << 10, "{} bytes", stored.len());
}

#[test]
fn only_silence_is_taken_back_by_a_later_event() {
    for (kind, status) in [
        (DecisionKind::Silence, SessionStatus::Active),
        (DecisionKind::Unreachable, SessionStatus::Failed),
        (DecisionKind::Cancelled, SessionStatus::Failed),
    ] {
        let mut run = Run::new();
        run.text("t", "x").unwrap();
        let decision = Decision {
            after_seq: 1,
            kind,
            reason: "why".into(),
            at: at(1),
        };
        assert!(run.build.decide(decision.clone(), &mut run.changes));
        assert!(!run.build.decide(decision, &mut run.changes));
        assert_eq!(run.build.session.status, SessionStatus::Failed);
        run.commit();
        run.text("t", "y").unwrap();
        assert_eq!(run.build.session.status, status, "{kind:?}");
    }
}

#[test]
fn an_overlong_id_has_a_key_of_its_own() {
    let long = "é".repeat(1_000);
    let key = row_key(&long);
    assert!(key.len() <= 256 && key.starts_with(text::prefix(&long, 100)));
    assert_ne!(key, row_key(&"é".repeat(1_001)));
    assert_eq!(row_key("short"), "short");
}
