//! Rows of cells as Markdown and as HTML, in the form that all tables of a report share.

use trade_plot::escape;

/// A pipe table whose first column is aligned to the left and the others to the right.
pub(super) fn markdown(header: &[String], rows: &[Vec<String>]) -> String {
    let plain = |cell: &String| cell.replace('|', "\\|").replace(['\n', '\r'], " ");
    let row = |cells: &Vec<String>| {
        let cells: Vec<String> = cells.iter().map(plain).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = "--:|".repeat(header.len().saturating_sub(1));
    let rows: String = rows.iter().map(row).collect();
    row(&header.to_vec()) + &format!("|:--|{rule}\n") + &rows
}

/// A `<table>` with the given rows in its head. The first cell of each row names it, and a cell
/// that is marked is strong.
pub(super) fn html(head: &str, rows: &[Vec<(String, bool)>]) -> String {
    let cell = |(text, strong): &(String, bool)| match escape(text) {
        text if *strong => format!("<td><strong>{text}</strong></td>"),
        text => format!("<td>{text}</td>"),
    };
    let row = |cells: &Vec<(String, bool)>| {
        let name = cells
            .first()
            .map_or_else(String::new, |(name, _)| escape(name));
        let cells: String = cells.iter().skip(1).map(cell).collect();
        format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    format!("<table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n")
}
