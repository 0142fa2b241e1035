//! A table of an experiment's own.
#![allow(clippy::format_push_string, reason = "a page is written once")]

use super::rows;
use trade_plot::escape;

/// A table with its heading and an explanation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// The text under it.
    pub text: String,
    /// The names of the columns.
    pub header: Vec<String>,
    /// The cells, row by row; the first of each names it.
    pub rows: Vec<Vec<String>>,
}

impl Section {
    /// As Markdown, for a terminal and the book.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("\n### {}\n\n", self.title);
        if !self.text.is_empty() {
            text += &format!("{}\n\n", self.text);
        }
        text + &rows::markdown(&self.header, &self.rows)
    }

    /// As HTML.
    pub(super) fn html(&self) -> String {
        let (title, text) = (escape(&self.title), escape(&self.text));
        let names = self
            .header
            .iter()
            .map(|name| format!("<th>{}</th>", escape(name)));
        let head = format!("<tr>{}</tr>", names.collect::<String>());
        let plain = |cells: &Vec<String>| cells.iter().map(|cell| (cell.clone(), false)).collect();
        let rows: Vec<_> = self.rows.iter().map(plain).collect();
        let table = rows::html(&head, &rows);
        format!("<h2>{title}</h2>\n<p>{text}</p>\n<div class=\"wide\">\n{table}</div>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_hold_every_cell_and_escape() {
        let section = Section {
            title: "Mode weights".into(),
            text: "a < b".into(),
            header: vec!["method".into(), "max |Δw|".into()],
            rows: vec![vec!["TRADE & co".into(), "0.01".into()]],
        };
        let markdown = section.markdown();
        assert!(markdown.contains("| TRADE & co | 0.01 |\n") && markdown.contains("max \\|Δw\\|"));
        assert!(markdown.contains("|:--|--:|\n"));
        let html = section.html();
        assert!(html.contains("TRADE &amp; co") && html.contains("a &lt; b"));
    }
}
