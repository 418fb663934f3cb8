//! The operator's logo. It stands in the page, which has nothing to fetch.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Largest file in bytes: with it in base64 a page still has less than 20 KiB.
pub const MAX_LOGO: u64 = 3 * 1024;

/// The files a logo is looked for in, with their media types.
pub const LOGO_FILES: [(&str, &str); 2] =
    [("logo.svg", "image/svg+xml"), ("logo.png", "image/png")];

/// The address of an image that is its own content (RFC 2397). In an image element nothing in it
/// runs, or fetches anything.
pub fn logo_url(media_type: &str, image: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(image))
}
