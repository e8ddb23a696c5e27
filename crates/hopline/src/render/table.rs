//! Plain tables: a heading, columns as wide as they must be, numbers to the right.

use super::{Style, cut};

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Texts.
    Left,
    /// Numbers and durations.
    Right,
}

/// A cell: its text, and how it is painted once it has its width.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    paint: fn(Style, &str) -> String,
}

impl Cell {
    /// A cell painted by one of [`Style`]'s colours.
    pub(crate) fn painted(text: impl Into<String>, paint: fn(Style, &str) -> String) -> Self {
        Self {
            text: text.into(),
            paint,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::painted(text, |_, text| text.to_owned())
    }
}

/// A table that is filled row by row and printed at once.
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
    /// The column that gives way when the terminal is narrow.
    elastic: usize,
}

impl Table {
    /// A table of these columns. On a narrow terminal the column `elastic` is cut.
    pub(crate) fn new(columns: &[(&str, Align)], elastic: usize) -> Self {
        let columns = columns.iter();
        Self {
            columns: columns
                .map(|(name, align)| ((*name).to_owned(), *align))
                .collect(),
            rows: Vec::new(),
            elastic,
        }
    }

    /// Adds a row of as many cells as there are columns.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// The table as text, a line for each row, indented by `indent` blanks.
    pub(crate) fn render(&self, style: Style, indent: usize) -> String {
        const GAP: usize = 2;
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .map(|(name, _)| name.chars().count())
            .collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let whole = indent + widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
        if let (Some(room), Some(width)) = (style.width(), widths.get_mut(self.elastic)) {
            *width = width.saturating_sub(whole.saturating_sub(room)).max(8);
        }
        let mut out = String::new();
        let heading = self.columns.iter();
        let heading = heading.map(|(name, _)| Cell::painted(name.as_str(), Style::dim));
        self.line(
            &mut out,
            &heading.collect::<Vec<_>>(),
            &widths,
            style,
            indent,
        );
        for row in &self.rows {
            self.line(&mut out, row, &widths, style, indent);
        }
        out
    }

    fn line(
        &self,
        out: &mut String,
        cells: &[Cell],
        widths: &[usize],
        style: Style,
        indent: usize,
    ) {
        let mut line = " ".repeat(indent);
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(&self.columns) {
            let text = cut(&cell.text, *width);
            let blanks = " ".repeat(width - text.chars().count());
            let painted = (cell.paint)(style, &text);
            match align {
                Align::Left => line.push_str(&(painted + &blanks)),
                Align::Right => line.push_str(&(blanks + &painted)),
            }
            line.push_str("  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::new(&[("name", Align::Left), ("n", Align::Right)], 0);
        table.row(vec!["a long one".into(), "1".into()]);
        table.row(vec!["b".into(), Cell::painted("100", Style::bad)]);
        let text = table.render(Style::plain(), 2);
        assert_eq!(
            text,
            "  name          n\n  a long one    1\n  b           100\n"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_the_elastic_column() {
        let mut table = Table::new(&[("name", Align::Left), ("n", Align::Right)], 0);
        table.row(vec!["a very long name".into(), "1".into()]);
        let narrow = Style {
            width: Some(13),
            ..Style::plain()
        };
        assert_eq!(
            table.render(narrow, 0).lines().last(),
            Some("a very lo…  1")
        );
    }
}
