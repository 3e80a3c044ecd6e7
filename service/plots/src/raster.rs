//! A picture as PNG, for mail: drawn with a font of our own, so that a server needs none.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, Options, Tree, fontdb};

use super::theme::{Theme, baked};

/// DejaVu Sans: Latin, Greek, Cyrillic. Its licence lies beside it.
const FONT: &[u8] = include_bytes!("font/DejaVuSans.ttf");
const FAMILY: &str = "DejaVu Sans";
/// Pixels for each unit of a picture: screens of today show two for one.
const SCALE: f32 = 2.0;
/// Largest side of a PNG, in pixels; four bytes of memory for each of them.
const MOST_PIXELS: u32 = 4096;

/// Why a picture did not become a PNG.
#[derive(Debug, thiserror::Error)]
pub enum RasterError {
    /// It is not a picture of this module.
    #[error("the picture cannot be read: {0}")]
    Svg(#[from] usvg::Error),
    /// It has no size, or too large a one.
    #[error(
        "the picture has {width} × {height} pixels, at least 1 and at most {MOST_PIXELS} are drawn"
    )]
    Size { width: u32, height: u32 },
    /// The pixels were not written.
    #[error("the picture cannot be written as PNG: {0}")]
    Png(String),
}

/// Draws a picture of this module in a theme. Its size is in pixels twice what it is in units.
///
/// # Errors
/// [`RasterError`]: it is no such picture, or too large.
pub fn png(picture: &str, theme: Theme) -> Result<Vec<u8>, RasterError> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    let options =
        Options { font_family: FAMILY.to_owned(), fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(&baked(picture, theme), &options)?;
    let (width, height) = (pixels(tree.size().width()), pixels(tree.size().height()));
    let too_large = RasterError::Size { width, height };
    if width.max(height) > MOST_PIXELS {
        return Err(too_large);
    }
    let Some(mut pixmap) = Pixmap::new(width, height) else { return Err(too_large) };
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| RasterError::Png(error.to_string()))
}

/// Sizes are positive and far below what a `u32` holds; larger ones are refused behind this.
fn pixels(units: f32) -> u32 {
    (units * SCALE).ceil() as u32
}
