//! The report as one HTML page that needs no other file.
#![allow(clippy::format_push_string, reason = "a page is written once")]

use super::figures::Plate;
use super::model::Results;
use super::section::Section;
use super::table::Table;
use trade_plot::{dark_rules, escape};

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1f2328;--muted:#59636e;--rule:#d8dde3;--page:#fff;--card:#f6f8fa}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--muted:#9aa4af;--rule:#2f363e;--page:#0d1117;--card:#161b22}}
body{margin:2rem auto;max-width:72rem;padding:0 1rem;color:var(--ink);background:var(--page);
font:16px/1.5 Ubuntu,'Segoe UI','Helvetica Neue',Helvetica,Arial,sans-serif}
h1{font-size:1.6rem;margin-bottom:.3rem}h2{font-size:1.2rem;margin-top:2.2rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem}dt{color:var(--muted)}dd{margin:0}
code{font:.88em ui-monospace,Menlo,Consolas,monospace;background:var(--card);padding:.1em .3em;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
thead th{font-weight:600}th[scope=row],thead th:first-child{text-align:left;font-weight:500}.group{text-align:center}
figure{margin:1.5rem 0 2.2rem}figure svg{max-width:100%;height:auto;border-radius:4px}
figcaption{color:var(--muted);font-size:.9rem;margin-top:.3rem}
";

/// The page.
pub(super) fn page(
    results: &Results,
    table: &Table,
    sections: &[Section],
    plates: &[Plate],
) -> String {
    let title = escape(&results.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}@media(prefers-color-scheme:dark){{\n{}}}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<dl>\n",
        dark_rules()
    );
    let seeds = results.methods.iter().map(|m| m.seeds.len()).max();
    let seeds = seeds.unwrap_or(0);
    let (experiment, preset) = (escape(&results.experiment), escape(&results.preset));
    let code = |text| format!("<code>{}</code>", escape(text));
    let facts = [
        (
            "experiment",
            format!("{experiment}, preset {preset}, {seeds} seed(s)"),
        ),
        ("command", code(&results.command)),
        ("commit", code(&results.commit)),
        ("machine", escape(&results.machine)),
    ];
    for (name, value) in facts {
        out += &format!("<dt>{name}</dt><dd>{value}</dd>\n");
    }
    out += &format!(
        "</dl>\n<h2>Results</h2>\n<div class=\"wide\">\n{}</div>\n",
        table.html()
    );
    out += "<p>Mean ± standard deviation over seeds; the best of each column is bold.</p>\n<dl>\n";
    for quantity in table.quantities() {
        let (name, meaning) = (escape(quantity.name), escape(quantity.meaning));
        out += &format!("<dt>{name}</dt><dd>{meaning}</dd>\n");
    }
    out += "</dl>\n";
    for section in sections {
        out += &section.html();
    }
    out += "<h2>Figures</h2>\n";
    for plate in plates {
        out += &format!(
            "<figure id=\"{}\">\n{}<figcaption>{}</figcaption>\n</figure>\n",
            escape(plate.stem),
            plate.figure.to_svg(),
            escape(&plate.caption)
        );
    }
    out + "</body>\n</html>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_the_results_is_markup() {
        let evil = || "<script>alert(\"&\")</script>".to_owned();
        let results = Results {
            title: evil(),
            command: evil(),
            machine: evil(),
            commit: evil(),
            experiment: evil(),
            preset: evil(),
            ..Results::default()
        };
        let page = page(&results, &Table::new(&results), &[], &[]);
        assert!(!page.contains("<script"));
        assert_eq!(
            page.matches("&lt;script&gt;alert(&quot;&amp;&quot;)")
                .count(),
            7
        );
    }

    #[test]
    fn the_page_asks_for_no_other_file() {
        let page = page(
            &Results::default(),
            &Table::new(&Results::default()),
            &[],
            &[],
        );
        assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("));
        assert!(page.contains("prefers-color-scheme:dark"));
    }
}
