//! What segments are called: after the segments of the log that their spans come from, `<first>-<last>.parquet`, in a folder
//! for the hour in which they were made, `date=2026-11-30/hour=04/` (UTC).

use std::path::{Path, PathBuf};

use hopline_wire::Timestamp;

/// What a segment is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    /// The hour in which it was made, since 1970.
    pub(crate) hour: u64,
    /// The first and the last segment of the log that its spans come from.
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Name {
    pub(crate) fn new(made_at: Timestamp, first: u64, last: u64) -> Self {
        let hour = made_at.as_millis() / 3_600_000;
        Self { hour, first, last }
    }

    /// Its path within the folder of segments.
    pub(crate) fn path(&self) -> PathBuf {
        let Self { hour, first, last } = self;
        let at = Timestamp::from_millis(hour * 3_600_000).to_string();
        let (date, rest) = at.split_once('T').unwrap_or((&at, "00"));
        let hour = &rest[..2];
        format!("date={date}/hour={hour}/{first:016}-{last:016}.parquet").into()
    }

    /// The name that this path says; none if it is no segment's.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        let mut parts = path.iter().rev().map(|part| part.to_str());
        let (first, last) = parts.next()??.strip_suffix(".parquet")?.split_once('-')?;
        let hour = parts.next()??.strip_prefix("hour=")?;
        let date = parts.next()??.strip_prefix("date=")?;
        let at: Timestamp = format!("{date}T{hour}:00:00Z").parse().ok()?;
        let name = Self::new(at, first.parse().ok()?, last.parse().ok()?);
        (path.ends_with(name.path()) && name.first <= name.last).then_some(name)
    }

    /// Whether all of the other's spans come from where this one's do.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segments_name_says_hour_and_origin() {
        let at: Timestamp = "2026-11-30T04:59:59.999Z".parse().unwrap();
        let name = Name::new(at, 3, 17);
        let path = "date=2026-11-30/hour=04/0000000000000003-0000000000000017.parquet";
        assert_eq!(name.path(), Path::new(path));
        assert_eq!(Name::of_path(&Path::new("/data").join(path)), Some(name));
        for none in [
            "date=2026-11-30/hour=04/3-17.parquet",
            "date=2026-11-30/hour=04/0000000000000017-0000000000000003.parquet",
            "date=2026-11-30/hour=04/0000000000000003-0000000000000017.new",
            "date=2026-13-30/hour=04/0000000000000003-0000000000000017.parquet",
            "hour=04/0000000000000003-0000000000000017.parquet",
            "x.parquet",
        ] {
            assert_eq!(Name::of_path(Path::new(none)), None, "{none}");
        }
    }
}
