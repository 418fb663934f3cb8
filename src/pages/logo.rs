//! The operator's logo. It is part of the page, which has nothing to fetch.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The largest file, in bytes: with it in base64, a page is still smaller than 20 KiB.
pub const MAX_LOGO: u64 = 3 * 1024;

/// The files in which a logo is looked for, with their media types.
pub const LOGO_FILES: [(&str, &str); 2] =
    [("logo.svg", "image/svg+xml"), ("logo.png", "image/png")];

/// The image as a `data:` URL (RFC 2397). In an image element, nothing in the image can run or
/// fetch anything.
pub fn logo_url(media_type: &str, image: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(image))
}
