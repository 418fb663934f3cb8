//! A mail as text (RFC 5322): written for the outbox, and read back to find its envelope.

use std::fs::{self, File};
use std::io::{self, Error, ErrorKind, Read as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0,
};
use lettre::message::{Body, Mailbox, Mailboxes, Message};

use crate::mail::Mail;

/// The sender of mails: an address, with or without a name before it.
#[derive(Clone)]
pub struct Sender {
    name: Option<String>,
    address: Address,
}

impl Sender {
    /// Takes `local@domain`, or `Name <local@domain>` as mail programs show it, with the name in
    /// quotes or not. The error completes a sentence that began with the flag's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "is not of the form name@domain or Name <name@domain>";
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>').map(|rest| rest.rsplit_once('<')) {
            None => (String::new(), text),
            Some(Some((name, address))) => (unquoted(name.trim()).ok_or(WRONG)?, address.trim()),
            Some(None) => return Err(WRONG),
        };
        Ok(Self {
            name: (!name.is_empty()).then_some(name),
            address: plain_address(address).ok_or(WRONG)?,
        })
    }
}

/// A name without the quotes around it, if there are any (RFC 5322, section 3.2.4). `None` if it is
/// not text that fits in one line.
fn unquoted(name: &str) -> Option<String> {
    let inner = name
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let mut text = String::new();
    let mut letters = inner.unwrap_or(name).chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if inner.is_some() => text.push(letters.next()?),
            // A quote that ends too early or never began.
            '"' => return None,
            other => text.push(other),
        }
    }
    let text = text.trim().to_owned();
    let fits = !text.contains(|c: char| c.is_control() || "\u{2028}\u{2029}".contains(c));
    (fits && text.chars().count() <= MAX_NAME).then_some(text)
}

/// A mail as read from a file.
///
/// No `Debug`: the text may hold a password.
pub(super) struct Letter {
    pub(super) envelope: Envelope,
    /// Lines end with CRLF, and no CR or LF stands alone.
    pub(super) text: Vec<u8>,
}

/// Writes the mail out. `id` is unique to it, so that a receiver can recognize a second copy.
pub(super) fn compose(from: &Sender, mail: &Mail, id: &str) -> io::Result<Vec<u8>> {
    let to = plain_address(&mail.to).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidInput,
            "no mail can be sent to this address",
        )
    })?;
    // A date beyond the year 9999 has no form in a mail.
    let date = Duration::from_secs(mail.at.wall.min(LAST_DATE));

    let message = Message::builder()
        .message_id(Some(format!("<{id}@{}>", from.address.domain())))
        .date(UNIX_EPOCH + date)
        .from(Mailbox::new(from.name.clone(), from.address.clone()))
        .to(Mailbox::new(None, to))
        .subject(mail.subject)
        // Keeps holiday notes from answering (RFC 3834, section 5).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN)
        .body(encoded(&mail.body)?)
        .map_err(Error::other)?;
    Ok(message.formatted())
}

/// The text as it is if every mail server can carry it, and otherwise in quoted-printable: unlike
/// base64, an operator can still read that.
fn encoded(body: &str) -> io::Result<Body> {
    Body::new_with_encoding(body.to_owned(), ContentTransferEncoding::SevenBit)
        .or_else(|_| {
            Body::new_with_encoding(body.to_owned(), ContentTransferEncoding::QuotedPrintable)
        })
        .map_err(|_| invalid("the text cannot be encoded"))
}

/// Reads a mail, whoever wrote the file.
///
/// # Errors
///
/// `InvalidData` with the reason if the file is not a mail that can be sent, and any error of the
/// disk.
pub(super) fn read(path: &Path) -> io::Result<Letter> {
    let metadata = fs::metadata(path)?;
    // Anything but a file, such as a pipe, could keep the reader waiting forever.
    if !metadata.is_file() {
        return Err(invalid("it is not a file"));
    }
    let mut raw = Vec::new();
    File::open(path)?
        .take(MAX_LETTER + 1)
        .read_to_end(&mut raw)?;
    if raw.len() as u64 > MAX_LETTER {
        return Err(invalid("it is too large"));
    }

    parse(&raw)
}

/// Reads the text of a mail.
///
/// # Errors
///
/// `InvalidData` with the reason if it is not a mail that can be sent.
pub(super) fn parse(raw: &[u8]) -> io::Result<Letter> {
    let text = with_crlf(raw);
    let envelope = envelope(&text)?;
    Ok(Letter { envelope, text })
}

/// Sender and recipients, from the mail's own header section.
fn envelope(text: &[u8]) -> io::Result<Envelope> {
    let end = text.windows(4).position(|window| window == b"\r\n\r\n");
    let head = str::from_utf8(&text[..end.unwrap_or(text.len())])
        .map_err(|_| invalid("its header section is not UTF-8"))?;
    // A line that begins with white space continues the one before (RFC 5322, section 2.2.3).
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");

    let from = addresses(&head, "From")?;
    let to = addresses(&head, "To")?;
    if from.len() > 1 {
        return Err(invalid("it is from more than one address"));
    }
    Envelope::new(from.into_iter().next(), to).map_err(|_| invalid("it is for nobody"))
}

fn addresses(head: &str, name: &str) -> io::Result<Vec<Address>> {
    let mut fields = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .filter(|(field, _)| field.trim_end().eq_ignore_ascii_case(name));
    let (Some((_, value)), None) = (fields.next(), fields.next()) else {
        return Err(invalid("it has no From or To, or has one twice"));
    };
    let mailboxes: Mailboxes = value
        .trim()
        .parse()
        .map_err(|_| invalid("its From or To cannot be read"))?;
    mailboxes
        .into_iter()
        .map(|mailbox| plain_address(mailbox.email.as_ref()))
        .collect::<Option<_>>()
        .ok_or_else(|| invalid("its From or To has an address no mail can be sent to"))
}

/// An address without quotes, comments or anything else that means something in a header or in
/// an SMTP command. An international domain becomes its ASCII form, which every server takes.
fn plain_address(text: &str) -> Option<Address> {
    let (local, domain) = text.split_once('@')?;
    let special = |c: char| {
        c.is_control()
            || c.is_whitespace()
            || "\"(),:;<>@[\\]".contains(c)
            || "\u{200b}\u{2028}\u{2029}\u{feff}".contains(c)
    };
    if local.contains(special) || domain.contains(special) {
        return None;
    }
    let domain = idna::domain_to_ascii_strict(domain).ok()?;
    Address::new(local, domain).ok()
}

/// The text with CRLF at the end of every line. Whatever a server may take for the end of a line
/// ends one here too, so no line of a body can pass for an SMTP command.
fn with_crlf(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len() + raw.len() / 32);
    let mut after_cr = false;
    for &byte in raw {
        match byte {
            b'\n' if after_cr => {}
            b'\r' | b'\n' => text.extend_from_slice(b"\r\n"),
            other => text.push(other),
        }
        after_cr = byte == b'\r';
    }
    text
}

fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, reason)
}

/// In bytes. Our own mails have about a thousand; the rest is room for what an operator drops in.
const MAX_LETTER: u64 = 1 << 20;

/// The longest name of a sender, in characters.
const MAX_NAME: usize = 128;

/// The last second of the year 9999.
const LAST_DATE: u64 = 253_402_300_799;
