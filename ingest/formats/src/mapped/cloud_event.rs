//! CloudEvents 1.0 in both bindings of Kafka: attributes in the headers, or around the data.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driftline_capture::Reason;

use crate::json::{Scanner, Value, unescape};
use crate::record::{Carried, Header, Rejection};

/// An event out of its envelope.
pub(crate) struct Event<'a> {
    pub(crate) text: Cow<'a, str>,
    /// Where the event's own value begins.
    pub(crate) start: usize,
    /// Whether nothing may follow it.
    pub(crate) is_whole: bool,
    /// Attributes that stood around the data.
    attributes: Vec<Attribute>,
}

struct Attribute {
    /// As a header names it, `ce_id`.
    name: String,
    value: String,
}

impl<'a> Event<'a> {
    /// An event without an envelope.
    pub(crate) fn plain(text: &'a str) -> Event<'a> {
        Event { text: Cow::Borrowed(text), start: 0, is_whole: true, attributes: Vec::new() }
    }

    /// Takes an event out of its envelope: where the media type says that the attributes stand around the
    /// data, or where no header is an attribute and the text holds `specversion`, as lines of a file do.
    pub(crate) fn unwrap(text: &'a str, carried: &Carried<'a>) -> Result<Event<'a>, Rejection> {
        let media_type = carried.header("content-type").unwrap_or_default();
        let is = |prefix: &str| {
            media_type
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        if is("application/cloudevents-batch") {
            let detail = "several events in one record: send one event a record";
            return Err(Rejection::new(Reason::InvalidBody, detail));
        }
        let bare = carried.header("ce_specversion").is_none();
        let is_structured =
            is("application/cloudevents") || (bare && text.contains("\"specversion\""));
        if is_structured { Event::structured(text) } else { Ok(Event::plain(text)) }
    }

    fn structured(text: &'a str) -> Result<Event<'a>, Rejection> {
        let mut scanner = Scanner::new(text, 0);
        scanner.blanks();
        if scanner.peek() != Some(b'{') {
            return Ok(Event::plain(text));
        }
        let mut event = Event { is_whole: false, ..Event::plain(text) };
        let mut data = None;
        let mut more = scanner.enter_object();
        while more {
            let mut name = String::from("ce_");
            unescape(scanner.key()?, &mut name);
            let start = scanner.at();
            let value = scanner.value()?;
            match (name.as_str(), value) {
                ("ce_data", value) => {
                    if let Value::Object | Value::Array = value {
                        scanner.skip(1)?;
                    }
                    data = Some(Data::At(start));
                }
                ("ce_data_base64", Value::Text(raw)) => {
                    let mut encoded = String::new();
                    unescape(raw, &mut encoded);
                    data = Some(Data::Base64(encoded));
                }
                (_, Value::Object | Value::Array) => scanner.skip(1)?,
                (_, Value::Text(raw)) => {
                    let mut value = String::new();
                    unescape(raw, &mut value);
                    event.attributes.push(Attribute { name, value });
                }
                (_, Value::Number(number)) => {
                    let value = String::from_utf8_lossy(number.raw).into_owned();
                    event.attributes.push(Attribute { name, value });
                }
                _ => {}
            }
            more = scanner.more_keys()?;
        }
        scanner.blanks();
        if scanner.peek().is_some() {
            crate::json::no_more_values(&mut scanner)?;
            return Err(Rejection::new(Reason::NotAnObject, "more than one value"));
        }
        match data {
            Some(Data::At(start)) => event.start = start,
            Some(Data::Base64(encoded)) => {
                event.text = Cow::Owned(decoded(encoded.as_bytes())?);
                event.is_whole = true;
            }
            None => return Err(Rejection::new(Reason::Empty, "a CloudEvent without data")),
        }
        Ok(event)
    }

    /// The headers of the record, and the attributes that stood around the data.
    pub(crate) fn headers<'e>(&'e self, carried: &Carried<'e>) -> Cow<'e, [Header<'e>]> {
        if self.attributes.is_empty() {
            return Cow::Borrowed(carried.headers);
        }
        let attributes = self
            .attributes
            .iter()
            .map(|attribute| Header { name: &attribute.name, value: attribute.value.as_bytes() });
        Cow::Owned(carried.headers.iter().copied().chain(attributes).collect())
    }
}

enum Data {
    At(usize),
    Base64(String),
}

/// The text that Base64 stands for.
pub(crate) fn decoded(encoded: &[u8]) -> Result<String, Rejection> {
    let refused = |detail: &str| Rejection::new(Reason::InvalidBody, detail);
    let bytes = STANDARD.decode(encoded).map_err(|_| refused("a body is not Base64"))?;
    String::from_utf8(bytes).map_err(|_| refused("a body in Base64 is not UTF-8"))
}
