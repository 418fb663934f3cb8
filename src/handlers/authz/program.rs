//! What programs bring in `Authorization`, and whom they may enter for by a token of ours.
//!
//! What looks like a token of ours never reaches an application, whether it is one or not. Anything
//! else in the field is the application's own: it opens nothing here, and goes on as it came.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::access::Ruling;
use crate::accounts::token::Digest;
use crate::accounts::{Account, access_token, names};
use crate::handlers::authz::asked::Asked;
use crate::handlers::{App, tokens};
use crate::http::Request;
use crate::store::Unavailable;

/// The field, as requests have it.
const FIELD: &str = "authorization";

/// Reads what the most lenient application would, whatever the last bits are.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// What a request brings in the field.
pub(super) enum Brought {
    /// For the application, each field byte by byte; none if there is no such field.
    Foreign(Vec<Vec<u8>>),
    /// What looks like a token of ours, and is the only thing in the only such field.
    Token(Token),
    /// The same among other things, which is good for nothing.
    Confused(Digest),
}

/// Something of the shape of our tokens, as it was brought.
pub(super) struct Token {
    hash: Digest,
    /// Whose it is said to be, in `Basic`.
    name: Option<String>,
}

impl Brought {
    pub(super) fn of(request: &Request) -> Self {
        // An empty one says nothing; some proxies add it.
        let sent = request
            .headers
            .iter()
            .filter(|(name, value)| name == FIELD && !value.is_empty());
        // As they came: the front has encoded what is not ASCII.
        let fields: Vec<Zeroizing<Vec<u8>>> = sent
            .map(|(_, value)| Zeroizing::new(percent_decode_str(value).collect()))
            .collect();
        // Proxies join several fields into one with commas (RFC 9110, section 5.3).
        let mut parts = fields
            .iter()
            .flat_map(|field| field.split(|byte| *byte == b','));
        let is_alone = parts.clone().count() == 1;
        match parts.find_map(token_in) {
            Some(token) if is_alone => Self::Token(token),
            Some(token) => Self::Confused(token.hash),
            None => Self::Foreign(fields.iter().map(|field| field.to_vec()).collect()),
        }
    }

    /// Whether it looks like a token of ours.
    pub(super) fn is_ours(&self) -> bool {
        !matches!(self, Self::Foreign(_))
    }

    /// What goes on to the application.
    pub(super) fn into_foreign(self) -> Vec<Vec<u8>> {
        match self {
            Self::Foreign(fields) => fields,
            Self::Token(_) | Self::Confused(_) => Vec::new(),
        }
    }
}

/// The token in credentials of `Bearer` (RFC 6750, section 2.1) or `Basic` (RFC 7617, section 2),
/// if they have its shape.
fn token_in(credentials: &[u8]) -> Option<Token> {
    let text = str::from_utf8(credentials).ok()?.trim_matches(BLANKS);
    let (scheme, rest) = text.split_once(BLANKS)?;
    let rest = rest.trim_matches(BLANKS);
    if scheme.eq_ignore_ascii_case("Bearer") {
        let name = None;
        let hash = Digest::of(rest);
        return access_token::has_shape(rest).then_some(Token { hash, name });
    }
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let both = Zeroizing::new(BASE64.decode(letters(rest).as_bytes()).ok()?);
    let colon = both.iter().position(|byte| *byte == b':')?;
    let password = str::from_utf8(&both[colon + 1..]).ok()?;
    access_token::has_shape(password).then(|| Token {
        hash: Digest::of(password),
        name: Some(String::from_utf8_lossy(&both[..colon]).into_owned()),
    })
}

/// Blanks within a field (RFC 9110, section 5.6.3).
const BLANKS: [char; 2] = [' ', '\t'];

/// The letters that count in Base64 of either alphabet. Some decoders skip all others, stop where the
/// padding begins, however much of it there is, and drop a last letter that makes no byte.
fn letters(text: &str) -> Zeroizing<String> {
    let before = text.split('=').next().unwrap_or_default();
    let standard = before.chars().filter_map(|letter| match letter {
        '-' => Some('+'),
        '_' => Some('/'),
        '+' | '/' => Some(letter),
        _ => letter.is_ascii_alphanumeric().then_some(letter),
    });
    let mut kept = Zeroizing::new(String::with_capacity(text.len()));
    kept.extend(standard);
    if kept.len() % 4 == 1 {
        kept.pop();
    }
    kept
}

/// Whom a request without a session enters for, by a token that is good for what is asked for; its
/// groups are not looked at. A good token is taken whatever the counts say: it cannot be guessed.
///
/// # Errors
///
/// If the accounts cannot be read now.
pub(super) fn owner(
    app: &App,
    request: &Request,
    asked: &Asked,
    ruling: &Ruling<'_>,
    brought: &Brought,
) -> Result<Option<Arc<Account>>, Unavailable> {
    let Brought::Token(Token { hash, name }) = brought else {
        return Ok(None);
    };
    if !takes_tokens(app, ruling) {
        return Ok(None);
    }
    let now = request.received;
    let Some(account) = app.store.owner_of_token(*hash)? else {
        return Ok(None);
    };
    let host = asked.target.host_str().unwrap_or_default();
    let is_named = name.as_deref().is_none_or(|name| is_of(&account, name));
    let token = account.token_of(*hash).filter(|token| {
        let is_good = token.is_living(now.timestamp()) && token.is_for(host);
        is_good && is_named && !account.disabled && app.targets.takes_tokens_at(host)
    });
    let Some(token) = token else {
        return Ok(None);
    };
    app.token_uses.note(token, now.timestamp());
    Ok(Some(account))
}

/// What looks like a token of ours and opens nothing here.
pub(super) struct Refused {
    /// Whose it is, if it is a living token.
    pub(super) owner: Option<Arc<Account>>,
}

/// The token that a request brought in vain, for the log; `None` if there is none, or if the same
/// was refused to its network a short while ago: programs ask again and again. One that nobody has
/// counts against the network, wherever it is brought.
pub(super) fn refused(app: &App, request: &Request, brought: &Brought) -> Option<Refused> {
    let hash = match brought {
        Brought::Foreign(_) => return None,
        Brought::Token(token) => token.hash,
        Brought::Confused(hash) => *hash,
    };
    let now = request.received;
    let owner = app.store.owner_of_token(hash);
    // Nobody's only if the accounts could be read.
    let is_guess = tokens::are_offered(app) && matches!(owner, Ok(None));
    let is_new = app
        .throttle
        .wrong_token(hash, request.client, now.steady, is_guess);
    let is_living = |account: &Arc<Account>| {
        let token = account.token_of(hash);
        token.is_some_and(|token| token.is_living(now.timestamp()))
    };
    is_new.then(|| Refused {
        owner: owner.ok().flatten().filter(is_living),
    })
}

/// Whether the name is the account's, or its address, as at a login.
fn is_of(account: &Account, name: &str) -> bool {
    let name = crate::as_typed::name(name);
    match name.contains('@') {
        true => account.has_address(&names::ascii_domain(&name)),
        false => names::is_same(&account.username, &name),
    }
}

/// Whether tokens open what is asked for.
pub(super) fn takes_tokens(app: &App, ruling: &Ruling<'_>) -> bool {
    tokens::are_offered(app) && ruling.takes_tokens()
}

#[cfg(test)]
mod tests;
