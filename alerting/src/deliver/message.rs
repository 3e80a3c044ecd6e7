//! From a mail to the bytes of a message, with sender, recipients and date.

use std::time::SystemTime;

use lettre::message::header::ContentType;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};

use super::ReceiverProblem;
use crate::mail::{Letter, with_images};

/// Who writes to whom.
#[derive(Debug, Clone)]
pub(super) struct Letterhead {
    pub(super) from: Mailbox,
    pub(super) to: Vec<Mailbox>,
}

impl Letterhead {
    pub(super) fn new(from: &str, to: &[String]) -> Result<Letterhead, ReceiverProblem> {
        let to = to.iter().map(|address| mailbox(address)).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            let why = String::from("at least one recipient is needed");
            return Err(ReceiverProblem::Address { address: String::new(), why });
        }
        Ok(Letterhead { from: mailbox(from)?, to })
    }

    /// The message as it goes over the wire. `now` is its date: mails are dated by when they are
    /// sent, whatever the event time they speak of.
    pub(super) fn write(
        &self,
        letter: &Letter,
        now: SystemTime,
    ) -> Result<Vec<u8>, lettre::error::Error> {
        let mail = &letter.mail;
        let mut builder = Message::builder().from(self.from.clone());
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        builder = builder
            .date(now)
            .subject(mail.subject.clone())
            .message_id(Some(mail.message_id.clone()))
            // RFC 3834: nobody's holiday responder answers a monitor.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                String::from("auto-generated"),
            ));
        if let Some(opening) = &mail.in_reply_to {
            builder = builder.in_reply_to(opening.clone()).references(opening.clone());
        }
        Ok(builder.multipart(parts(letter))?.formatted())
    }
}

/// Text, or HTML with the images that it names: RFC 2387 inside RFC 2046 §5.1.4.
fn parts(letter: &Letter) -> MultiPart {
    let text = letter.mail.text.clone();
    if letter.images.is_empty() {
        return MultiPart::alternative_plain_html(text, letter.mail.html.clone());
    }
    let mut related = MultiPart::related().singlepart(SinglePart::html(with_images(letter)));
    // "image/png" can be read; without a type the mail would go without its images.
    if let Ok(png) = ContentType::parse("image/png") {
        for (index, image) in letter.images.iter().enumerate() {
            let (id, name) = (letter.content_id(index), format!("figure-{}.png", index + 1));
            let part = Attachment::new_inline_with_name(id, name);
            related = related.singlepart(part.body(image.png.clone(), png.clone()));
        }
    }
    MultiPart::alternative().singlepart(SinglePart::plain(text)).multipart(related)
}

fn mailbox(address: &str) -> Result<Mailbox, ReceiverProblem> {
    let refused = |why: String| ReceiverProblem::Address { address: address.to_owned(), why };
    let mailbox: Mailbox = address
        .parse()
        .map_err(|error: lettre::address::AddressError| refused(error.to_string()))?;
    if !mailbox.email.to_string().is_ascii() {
        return Err(refused(String::from("write the domain in its xn-- form")));
    }
    Ok(mailbox)
}
