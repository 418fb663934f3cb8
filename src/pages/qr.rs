//! The QR code of an enrolment, drawn as inline SVG: no image is fetched, no script runs.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

use super::fill::{Html, Values, fill};

/// The light border scanners need, in modules (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

/// The most bytes that are drawn, which make 69 modules on a side. With more, a module is hardly
/// three pixels wide on the page, which phones do not read reliably, and the page gets long.
const LARGEST: usize = 425;

/// The QR code of `text`; `None` if it would be too fine to scan.
pub fn draw(text: &str) -> Option<Html> {
    if text.len() > LARGEST {
        return None;
    }
    // The lowest error correction gives the largest modules, and a screen has no dirt on it.
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let values = Values::new()
        .text("size", (code.width() + 2 * QUIET_ZONE).to_string())
        .text("path", path(&code));
    Some(fill(include_str!("../../static/parts/qr.html"), &values))
}

/// Each row is one line of a pen as thick as a module: down for dark modules, lifted for light
/// ones.
fn path(code: &QrCode) -> String {
    let mut path = String::new();
    let colors = code.to_colors();
    for (y, row) in colors.chunks(code.width()).enumerate() {
        // Through the middle of the row, since half of a stroke is above its line and half below.
        let _ = write!(path, "M{QUIET_ZONE} {}.5", y + QUIET_ZONE);
        for run in row.chunk_by(|a, b| a == b) {
            let _ = match run.first() {
                Some(Color::Dark) => write!(path, "h{}", run.len()),
                _ => write!(path, "m{} 0", run.len()),
            };
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn a_text_too_long_to_scan_has_no_picture() {
        assert!(draw(&"x".repeat(425)).is_some());
        assert!(draw(&"x".repeat(426)).is_none());
    }
}
