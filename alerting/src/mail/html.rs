//! The story as HTML: no scripts, no style sheet, everything escaped; images only from the mail itself.

use super::{CONSEQUENCES, Letter, Story};

pub(super) fn page(story: &Story) -> String {
    let mut body =
        format!("<h2>{}</h2>\n<p>{}</p>\n", escaped(&story.title), escaped(&story.sentence));
    if !story.findings.is_empty() {
        body.push_str(&format!("<h3>{}</h3>\n<ol>\n", escaped(&story.findings_title)));
        for finding in &story.findings {
            body.push_str(&format!("<li>{}</li>\n", escaped(finding)));
        }
        body.push_str("</ol>\n");
    }
    if let Some(others) = &story.others {
        body.push_str(&format!("<p>{}</p>\n", escaped(others)));
    }
    if !story.consequences.is_empty() {
        body.push_str(&format!("<h3>{CONSEQUENCES}</h3>\n<ul>\n"));
        for consequence in &story.consequences {
            body.push_str(&format!("<li>{}</li>\n", escaped(consequence)));
        }
        body.push_str("</ul>\n");
    }
    body.push_str(&format!("<p>{}</p>\n", escaped(&story.since)));
    for promise in &story.promise {
        body.push_str(&format!("<p>{}</p>\n", escaped(promise)));
    }
    if !story.unmoved.is_empty() {
        body.push_str(
            "<h3>What did not move</h3>\n<table cellpadding=\"4\">\n\
             <tr><th align=\"left\"></th><th align=\"left\">now</th>\
             <th align=\"left\">reference</th></tr>\n",
        );
        for (name, value, reference) in &story.unmoved {
            body.push_str(&format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escaped(name),
                escaped(value),
                escaped(reference)
            ));
        }
        body.push_str("</table>\n");
    }
    if !story.todo.is_empty() {
        body.push_str("<h3>What to do</h3>\n<ul>\n");
        for (what, how) in &story.todo {
            body.push_str(&format!("<li>{}: <code>{}</code></li>\n", escaped(what), escaped(how)));
        }
        body.push_str("</ul>\n");
    }
    if !story.links.is_empty() {
        let link = |(what, url): &(String, String)| {
            format!("<a href=\"{}\">{}</a>", escaped(url), escaped(what))
        };
        let links: Vec<String> = story.links.iter().map(link).collect();
        body.push_str(&format!("<p>{}</p>\n", links.join(" · ")));
    }
    body.push_str(&format!("<p><small>Incident {}</small></p>\n", escaped(&story.incident)));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{}</title></head>\n\
         <body style=\"font-family: sans-serif\">\n{body}</body>\n</html>\n",
        escaped(&story.title)
    )
}

/// The document of a mail with its images behind the findings. They are parts of the mail, found by
/// their Content-ID: nothing is fetched.
pub(crate) fn with_images(letter: &Letter) -> String {
    let html = &letter.mail.html;
    let image = |(index, image): (usize, &super::Image)| {
        format!(
            "<p><img src=\"cid:{}\" width=\"{}\" style=\"max-width: 100%; height: auto\" alt=\"{}\"></p>\n",
            escaped(&letter.content_id(index)),
            image.width,
            escaped(&image.alt)
        )
    };
    let images: String = letter.images.iter().enumerate().map(image).collect();
    // Names and sentences are escaped: the first end of a list is our own.
    if let Some((before, after)) = html.split_once("</ol>\n") {
        return format!("{before}</ol>\n{images}{after}");
    }
    let (before, after) = html.split_at(html.find("</body>").unwrap_or(html.len()));
    format!("{before}{images}{after}")
}

/// Text that stands for itself in an element and in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
