//! Which label the champion gave and which the candidate: a table that shades where they differ.

use super::svg::escaped;

/// Rows per label of the champion (outer) and of the candidate (inner), as an HTML table: the
/// diagonal in bold, other cells the darker the larger their share of all rows is.
pub fn flip_table(classes: &[String], table: &[Vec<u64>]) -> String {
    let total: u64 = table.iter().flatten().sum();
    let mut html = String::from(
        "<table class=\"flips\"><caption>rows by label of the champion (down) and of the candidate (across)</caption><thead><tr><td></td>",
    );
    for class in classes {
        html.push_str(&format!("<th scope=\"col\">{}</th>", escaped(class)));
    }
    html.push_str("</tr></thead><tbody>");
    for (champion, row) in table.iter().enumerate() {
        let name = classes.get(champion).map(|class| escaped(class)).unwrap_or_default();
        html.push_str(&format!("<tr><th scope=\"row\">{name}</th>"));
        for (candidate, count) in row.iter().enumerate() {
            let class = if champion == candidate { "same" } else { shade(*count, total) };
            html.push_str(&format!("<td class=\"{class}\">{count}</td>"));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table>");
    html
}

/// How dark a cell off the diagonal is: steps at 0, 1, 5 and 20 percent of all rows.
fn shade(count: u64, total: u64) -> &'static str {
    let share = if total > 0 { count as f64 / total as f64 } else { 0.0 };
    match share {
        share if share <= 0.0 => "shade-0",
        share if share < 0.01 => "shade-1",
        share if share < 0.05 => "shade-2",
        share if share < 0.2 => "shade-3",
        _ => "shade-4",
    }
}
