//! A table of an experiment's own.

use std::fmt::Write;

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
        let row = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|c| c.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = vec!["--:"; self.header.len().saturating_sub(1)].join("|");
        let mut text = format!("\n### {}\n\n", self.title);
        if !self.text.is_empty() {
            let _ = writeln!(text, "{}\n", self.text);
        }
        text += &row(&self.header);
        let _ = writeln!(text, "|:--|{rule}|");
        for cells in &self.rows {
            text += &row(cells);
        }
        text
    }

    /// As HTML.
    pub(super) fn html(&self) -> String {
        let mut text = format!(
            "<h2>{}</h2>\n<p>{}</p>\n<div class=\"wide\">\n<table>\n<thead><tr>",
            escape(&self.title),
            escape(&self.text)
        );
        for name in &self.header {
            let _ = write!(text, "<th>{}</th>", escape(name));
        }
        text += "</tr></thead>\n<tbody>\n";
        for cells in &self.rows {
            text += "<tr>";
            for (i, cell) in cells.iter().enumerate() {
                let _ = if i == 0 {
                    write!(text, "<th scope=\"row\">{}</th>", escape(cell))
                } else {
                    write!(text, "<td>{}</td>", escape(cell))
                };
            }
            text += "</tr>\n";
        }
        text + "</tbody>\n</table>\n</div>\n"
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
