//! Other servers on the same database: what this one commits it tells them of, and what they commit reaches those who follow
//! a build here.
//!
//! What happened is in no message: a bell says that a build has moved on, and the log is read from where this server knows it,
//! folded by the code that folded it there, and published as if it had been committed here. Nothing is read of a
//! build that nobody follows here. A build that is met for the first time, or whose log alone does not tell what has
//! become of it, is read as a whole, and whoever follows it takes a snapshot.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hopline_state::doorbell::{Doorbell, Heard, Moved};
use hopline_state::rows::{Decision, LoggedEvent};
use hopline_state::{Page, SessionKey, StateError};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::command::CommandState;
use crate::feed::{Change, ChangeTrace};
use crate::incoming::Reader;
use crate::round::{Folding, Round};
use crate::service::Shared;

/// At most so often the others are told.
const RING_EVERY: Duration = Duration::from_millis(50);

/// How long it is waited after a bell that did not ring.
const PAUSE: Duration = Duration::from_secs(1);

/// What is read of a log at once. A build that is further behind is read as a whole.
const PAGE: Page = Page {
    rows: 2_000,
    bytes: 4 << 20,
};

/// Builds that were moved on here, and of which the others are still to be told.
#[derive(Default)]
pub(crate) struct Rung {
    moved: Mutex<HashMap<Uuid, Moved>>,
    arrived: Notify,
}

impl Rung {
    /// The others are to be told of this.
    pub(crate) fn add(&self, moved: Moved) {
        let mut waiting = self.moved.lock();
        let known = waiting.entry(moved.session_id).or_insert(moved);
        known.seq = known.seq.max(moved.seq);
        known.anew |= moved.anew;
        drop(waiting);
        self.arrived.notify_one();
    }

    fn take(&self) -> Vec<Moved> {
        std::mem::take(&mut *self.moved.lock())
            .into_values()
            .collect()
    }
}

/// Starts what tells and what listens.
pub(crate) fn start(shared: &Arc<Shared>, bell: Arc<dyn Doorbell>) -> [JoinHandle<()>; 2] {
    let telling = tell(Arc::clone(shared), Arc::clone(&bell));
    let listener = Listener {
        shared: Arc::clone(shared),
        builds: HashMap::new(),
        reader: Reader::default(),
    };
    [tokio::spawn(telling), tokio::spawn(listener.run(bell))]
}

async fn tell(shared: Arc<Shared>, bell: Arc<dyn Doorbell>) {
    let Some(rung) = &shared.rung else { return };
    while !shared.stopping.is_cancelled() {
        tokio::select! {
            () = rung.arrived.notified() => {}
            () = shared.stopping.cancelled() => {}
        }
        let moved = rung.take();
        if moved.is_empty() {
            continue;
        }
        let pause = match bell.ring(&moved).await {
            Ok(()) => RING_EVERY,
            Err(error) => {
                tracing::debug!(%error, "other servers on the database could not be told");
                for moved in moved {
                    rung.add(moved);
                }
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.stopping.cancelled() => {}
        }
    }
}

/// Tells what was committed while the processor was stopping.
pub(crate) async fn tell_the_last(shared: &Shared) {
    let moved = shared.rung.as_ref().map(Rung::take).unwrap_or_default();
    if let Some(bell) = shared.store.doorbell().filter(|_| !moved.is_empty()) {
        // If the database is away, nobody can be told.
        let _ = tokio::time::timeout(PAUSE, bell.ring(&moved)).await;
    }
}

/// Why a build must be read as a whole.
struct Lost;

impl From<StateError> for Lost {
    fn from(error: StateError) -> Self {
        tracing::debug!(%error, "a build that another server has moved on could not be read");
        Self
    }
}

struct Listener {
    shared: Arc<Shared>,
    /// The builds that somebody follows here and others move on, as far as they were read.
    builds: HashMap<Uuid, CommandState>,
    reader: Reader,
}

impl Listener {
    async fn run(mut self, bell: Arc<dyn Doorbell>) {
        let stopping = self.shared.stopping.clone();
        loop {
            let heard = tokio::select! {
                heard = bell.heard() => heard,
                () = stopping.cancelled() => return,
            };
            match heard {
                Heard::Moved(moved) => {
                    for moved in moved {
                        self.follow(moved).await;
                    }
                }
                Heard::Missed => {
                    self.builds.clear();
                    self.shared.feed.lost_track();
                }
            }
        }
    }

    async fn follow(&mut self, moved: Moved) {
        let Moved {
            project_id,
            session_id,
            seq,
            anew,
        } = moved;
        let known = self.builds.remove(&session_id);
        let feed = &self.shared.feed;
        if !feed.is_followed(project_id, session_id) {
            return;
        }
        if let Some(state) = known.filter(|_| !anew)
            && let Ok(state) = self.advance(state, moved).await
        {
            self.builds.insert(session_id, state);
            return;
        }
        let read = self.read(session_id).await;
        let at = match read {
            Ok(state) => {
                let at = state.position.last_seq;
                self.builds.insert(session_id, state);
                at
            }
            Err(Lost) => seq,
        };
        self.shared.feed.left_out(project_id, session_id, at);
    }

    /// Reads a build as a whole.
    async fn read(&self, session_id: Uuid) -> Result<CommandState, Lost> {
        let store = &self.shared.store;
        let session = store
            .session(SessionKey::Id(session_id))
            .await?
            .ok_or(Lost)?;
        let loaded = store.load_command(&session.command_id).await?.ok_or(Lost)?;
        let id = Arc::from(session.command_id);
        Ok(CommandState::load(id, loaded))
    }

    /// Reads what was committed since, and publishes it.
    async fn advance(&mut self, mut state: CommandState, to: Moved) -> Result<CommandState, Lost> {
        let shared = Arc::clone(&self.shared);
        // In this order: a decision that is taken between the two readings comes out of place, and that is noticed.
        let decisions = shared.store.decisions(to.session_id).await?;
        let known = usize::try_from(state.decisions).map_err(|_| Lost)?;
        let mut decisions = decisions.into_iter().skip(known).peekable();
        let at = state.position.last_seq;
        let page = if at < to.seq {
            shared.store.events(&state.id, at, PAGE).await?
        } else {
            Vec::new()
        };
        if page.last().map_or(at, |last| last.seq) < to.seq {
            return Err(Lost);
        }
        for logged in &page {
            while let Some(decision) = decisions.next_if(|next| next.after_seq < logged.seq) {
                state = self.decide(state, decision, to)?;
            }
            state = self.fold(state, logged, to).await?;
        }
        while let Some(decision) =
            decisions.next_if(|next| next.after_seq <= state.position.last_seq)
        {
            state = self.decide(state, decision, to)?;
        }
        Ok(state)
    }

    fn decide(
        &self,
        state: CommandState,
        decision: Decision,
        of: Moved,
    ) -> Result<CommandState, Lost> {
        if decision.after_seq != state.position.last_seq {
            return Err(Lost);
        }
        let mut round = Round::begin(state, None, usize::MAX);
        // One that changes nothing has no place among the decisions; what is known here is not what was decided about.
        if !round.decide(decision) {
            return Err(Lost);
        }
        Ok(self.publish(round, Vec::new(), of))
    }

    async fn fold(
        &mut self,
        state: CommandState,
        logged: &LoggedEvent,
        of: Moved,
    ) -> Result<CommandState, Lost> {
        let mut round = Round::begin(state, None, usize::MAX);
        let Some(body) = &logged.body else {
            round.pass_again(logged);
            return Ok(self.publish(round, Vec::new(), of));
        };
        let event = self.reader.read(body.clone().into(), logged.received_at);
        while let Err((kind, id)) = round.take_again(&event, logged) {
            // Its row may be ahead of the event, by a part at most: then what is shown of the text is divided otherwise.
            let end = self.shared.store.last_note_part(of.session_id, kind, &id);
            round.remember_text(kind, &id, end.await?);
        }
        let event_keys = round.state().event_keys();
        // Where it was persisted is not in the log: its broadcast goes on from where it came from.
        let trace = event.trace.clone().map(|context| ChangeTrace {
            context,
            others: Vec::new(),
            event: event_keys,
        });
        Ok(self.publish(round, trace.into_iter().collect(), of))
    }

    /// Ends a round that others have committed, and tells those who follow.
    fn publish(&self, round: Round<'_>, traces: Vec<ChangeTrace>, of: Moved) -> CommandState {
        let after = round.begun_after();
        let Folding { state, updates, .. } = round.finish(&[], true);
        let (updates, urgent) = updates.unwrap_or_default();
        self.shared.feed.publish(Change {
            project_id: of.project_id,
            session_id: of.session_id,
            after,
            seq: state.position.last_seq,
            updates,
            urgent,
            traces,
        });
        state
    }
}
