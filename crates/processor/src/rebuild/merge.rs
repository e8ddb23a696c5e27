//! Two lists of rows in the same order, read side by side page by page: only what differs is kept.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::future::Future;

use hopline_state::rows::{Note, ToolCall};
use hopline_state::{StateError, Store};
use uuid::Uuid;

use super::ROW_PAGE;

/// A row of a table that is too long to be held as a whole.
pub(super) trait Row: Eq + Sized + Send {
    /// What tells it from all others of its build.
    type Key: Ord + Clone + Send;

    /// Its key.
    fn key(&self) -> Self::Key;

    /// Its place in the order that pages have.
    fn place(&self) -> (u64, u32);

    /// The rows of a build after this one.
    fn page(
        store: &dyn Store,
        session: Uuid,
        after: Option<(u64, u32)>,
    ) -> impl Future<Output = Result<Vec<Self>, StateError>> + Send;
}

impl Row for ToolCall {
    type Key = String;

    fn key(&self) -> String {
        self.tool_call_id.clone()
    }

    fn place(&self) -> (u64, u32) {
        (self.first_seq, 0)
    }

    async fn page(
        store: &dyn Store,
        session: Uuid,
        after: Option<(u64, u32)>,
    ) -> Result<Vec<Self>, StateError> {
        let after = after.map_or(0, |(seq, _)| seq);
        store.tool_calls(session, after, ROW_PAGE).await
    }
}

impl Row for Note {
    type Key = (&'static str, String, u32);

    fn key(&self) -> Self::Key {
        (self.kind.as_str(), self.text_id.clone(), self.part)
    }

    fn place(&self) -> (u64, u32) {
        (self.first_seq, self.part)
    }

    async fn page(
        store: &dyn Store,
        session: Uuid,
        after: Option<(u64, u32)>,
    ) -> Result<Vec<Self>, StateError> {
        store.notes(session, after, ROW_PAGE).await
    }
}

/// The rows that are not the same on both sides, by key: as found, and as they should be.
pub(super) type Unlike<T> = BTreeMap<<T as Row>::Key, (Option<T>, Option<T>)>;

/// Compares all rows of a kind.
pub(super) async fn unlike<T: Row>(
    found: &dyn Store,
    expected: &dyn Store,
    session: Uuid,
) -> Result<Unlike<T>, StateError> {
    let mut found = Pages::<T>::of(found, session);
    let mut expected = Pages::<T>::of(expected, session);
    let mut unlike: Unlike<T> = BTreeMap::new();
    loop {
        let places = (found.place().await?, expected.place().await?);
        let (takes_found, takes_expected) = match places {
            (None, None) => break,
            (Some(there), Some(should)) => (there <= should, should <= there),
            (there, should) => (there.is_some(), should.is_some()),
        };
        let there = found.next(takes_found);
        let should = expected.next(takes_expected);
        if there == should {
            continue;
        }
        if let Some(row) = there {
            let key = row.key();
            unlike.entry(key).or_default().0 = Some(row);
        }
        if let Some(row) = should {
            let key = row.key();
            unlike.entry(key).or_default().1 = Some(row);
        }
    }
    // What stands in another place may be the same row all the same, where several share a place.
    unlike.retain(|_, (there, should)| there != should);
    Ok(unlike)
}

/// The rows of one side.
struct Pages<'s, T> {
    store: &'s dyn Store,
    session: Uuid,
    rows: VecDeque<T>,
    last: Option<(u64, u32)>,
    is_over: bool,
}

impl<'s, T: Row> Pages<'s, T> {
    fn of(store: &'s dyn Store, session: Uuid) -> Self {
        Self {
            store,
            session,
            rows: VecDeque::new(),
            last: None,
            is_over: false,
        }
    }

    /// Where the next row stands; none after the last.
    async fn place(&mut self) -> Result<Option<(u64, u32)>, StateError> {
        if self.rows.is_empty() && !self.is_over {
            let page = T::page(self.store, self.session, self.last).await?;
            self.last = page.last().map(Row::place).or(self.last);
            self.is_over = page.is_empty();
            self.rows = page.into();
        }
        Ok(self.rows.front().map(Row::place))
    }

    fn next(&mut self, takes: bool) -> Option<T> {
        takes.then(|| self.rows.pop_front()).flatten()
    }
}
