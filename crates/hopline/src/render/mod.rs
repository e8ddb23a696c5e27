//! What is shown on a terminal or written into a pipe: colours, durations, tables, trees, progress.
//!
//! Everything here turns values into text; nothing asks for values. Text that came from a build is made
//! harmless first ([`plain`]): a build must not steer the terminal of whoever looks at it.

pub(crate) mod answer;
pub(crate) mod duration;
pub(crate) mod events;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod table;
pub(crate) mod tree;

use std::borrow::Cow;
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// Whether and how a stream is decorated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    colour: bool,
    width: Option<usize>,
}

impl Style {
    /// For a stream as it is: decorated on a terminal, unless its user wants no colours.
    pub(crate) fn of(stream: &(impl IsTerminal + AsFd), no_colour: bool) -> Self {
        let terminal = stream.is_terminal();
        let size = rustix::termios::tcgetwinsize(stream).ok();
        let columns = size.map(|size| usize::from(size.ws_col));
        Self {
            colour: terminal && !no_colour,
            width: columns.filter(|columns| terminal && *columns > 0),
        }
    }

    /// No decoration, no width: what a pipe gets.
    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self {
            colour: false,
            width: None,
        }
    }

    /// Whether colours are used.
    pub(crate) const fn colour(self) -> bool {
        self.colour
    }

    /// How many columns there are; none in a pipe, where nothing is cut.
    pub(crate) const fn width(self) -> Option<usize> {
        self.width
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Stands out.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Stands back.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Well.
    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Failed.
    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// To be looked at, or not done yet.
    pub(crate) fn warn(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// A name or an id.
    pub(crate) fn name(self, text: &str) -> String {
        self.paint("36", text)
    }
}

/// `text` without what would steer a terminal: control characters, C1 ones and those that turn the
/// direction of writing included, become U+FFFD; tabs become a blank.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let harmless = text.chars().map(|c| match c {
        '\t' => ' ',
        c if steers(c) => '\u{fffd}',
        c => c,
    });
    Cow::Owned(harmless.collect())
}

/// At most `columns` characters of `text`, the cut marked.
pub(crate) fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if text.chars().count() <= columns {
        return Cow::Borrowed(text);
    }
    let kept = text.chars().take(columns.saturating_sub(1));
    Cow::Owned(kept.chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_build_cannot_steer_the_terminal() {
        assert_eq!(
            plain("a\x1b[31mb\u{9b}c\td\u{202e}"),
            "a\u{fffd}[31mb\u{fffd}c d\u{fffd}"
        );
        assert!(matches!(plain("déjà vu"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_cut_is_marked_and_counts_characters() {
        assert_eq!(cut("ééé", 3), "ééé");
        assert_eq!(cut("éééé", 3), "éé…");
    }

    #[test]
    fn nothing_is_coloured_without_colours() {
        assert_eq!(Style::plain().bad("x"), "x");
        let coloured = Style {
            colour: true,
            width: None,
        };
        assert_eq!(coloured.bad("x"), "\x1b[31mx\x1b[0m");
        assert_eq!(coloured.bad(""), "");
    }
}
