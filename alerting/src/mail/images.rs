//! Images beside the HTML of a mail: opaque, bounded, named by Content-ID, made when it is sent.

use std::sync::Arc;
use std::time::Duration;

use driftline_config::{Subject, WindowId};
use serde::{Deserialize, Serialize};

use super::Mail;

/// Images of one mail at most: more is a page, and the mail links to one.
pub const IMAGES: usize = 3;
/// Bytes of one image at most, so that no mail is refused for its size.
pub const IMAGE_BYTES: usize = 60 << 10;

/// What an image is to show: a finding of a window. The outbox keeps this rather than images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pictured {
    pub window: WindowId,
    pub subject: Subject,
    /// As in [`crate::Evidence`].
    pub check: String,
}

/// An image as a mail carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What it shows, for those who do not see it.
    pub alt: String,
    /// How wide it is shown, in pixels of a page.
    pub width: u32,
    /// The bytes of a PNG file, at most [`IMAGE_BYTES`].
    pub png: Vec<u8>,
}

/// Makes the images of a mail from what it pictures. May block and may fail: a mail without images
/// says the same.
#[derive(Clone)]
pub struct Illustrate(Arc<Draw>);

type Draw = dyn Fn(&Mail) -> Vec<Image> + Send + Sync;

/// A mail with its images, as it is written.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) mail: Mail,
    pub(crate) images: Vec<Image>,
}

impl Illustrate {
    /// By this function, which runs where blocking is allowed.
    pub fn by(draw: impl Fn(&Mail) -> Vec<Image> + Send + Sync + 'static) -> Illustrate {
        Illustrate(Arc::new(draw))
    }

    /// The images of a mail within the bounds; none where drawing panics or takes too long.
    pub(crate) async fn images_of(&self, mail: &Mail, limit: Duration) -> Vec<Image> {
        if mail.pictured.is_empty() {
            return Vec::new();
        }
        let (draw, drawn) = (Arc::clone(&self.0), mail.clone());
        let drawing = tokio::task::spawn_blocking(move || draw(&drawn));
        let why = match tokio::time::timeout(limit, drawing).await {
            Ok(Ok(images)) => return bounded(images),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("drawing took longer than {limit:?}"),
        };
        tracing::warn!(mail = mail.message_id, why, "a mail goes without its images");
        Vec::new()
    }
}

fn bounded(mut images: Vec<Image>) -> Vec<Image> {
    images.retain(|image| image.png.len() <= IMAGE_BYTES);
    images.truncate(IMAGES);
    images
}

impl std::fmt::Debug for Illustrate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Illustrate")
    }
}

impl Letter {
    /// The Content-ID of an image, without angle brackets: the same whenever the mail is sent.
    pub(crate) fn content_id(&self, index: usize) -> String {
        let id = self.mail.message_id.trim_start_matches('<').trim_end_matches('>');
        format!("figure-{}.{id}", index + 1)
    }
}
