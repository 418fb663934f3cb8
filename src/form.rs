//! What visitors send: forms and queries, read strictly.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use crate::http::Request;

/// Why a form cannot be used.
#[derive(Debug, PartialEq)]
pub enum FormError {
    /// The field, and what is wrong with it.
    Field(&'static str, &'static str),
    /// The body is not a form.
    UnsupportedType,
}

/// The fields of a form, decoded one by one as they are asked for.
///
/// No `Debug`: it holds passwords.
pub struct Form<'a> {
    fields: Cow<'a, [u8]>,
}

impl<'a> Form<'a> {
    /// The form in a request's body.
    ///
    /// # Errors
    ///
    /// If the body says it is something else, or says nothing although there is one.
    pub fn of_body(request: &'a Request) -> Result<Self, FormError> {
        match request.header("content-type") {
            Some(value) if is_form(value) => {}
            None if request.body.is_empty() => {}
            _ => return Err(FormError::UnsupportedType),
        }
        Ok(Self {
            fields: Cow::Borrowed(&request.body),
        })
    }

    /// The fields of a request's query.
    pub fn of_query(request: &'a Request) -> Self {
        Self {
            fields: Cow::Borrowed(request.query.as_bytes()),
        }
    }

    /// A field that must be there once, with something in it, in at most `max` characters.
    ///
    /// # Errors
    ///
    /// Names the field.
    pub fn required(&self, name: &'static str, max: usize) -> Result<Zeroizing<String>, FormError> {
        self.optional(name, max)?
            .filter(|value| !value.is_empty())
            .ok_or(FormError::Field(name, "is missing"))
    }

    /// A field that may be there once, in at most `max` characters.
    ///
    /// # Errors
    ///
    /// Names the field.
    pub fn optional(
        &self,
        name: &'static str,
        max: usize,
    ) -> Result<Option<Zeroizing<String>>, FormError> {
        let mut found = self.values(name);
        let Some(value) = found.next() else {
            return Ok(None);
        };
        if found.next().is_some() {
            return Err(FormError::Field(name, "was sent more than once"));
        }
        let value = decode(value).ok_or(FormError::Field(name, "is not UTF-8"))?;
        if value.chars().count() > max {
            return Err(FormError::Field(name, "is too long"));
        }
        Ok(Some(value))
    }

    /// Whether a field of that name was sent at all.
    pub fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields
            .split(|byte| *byte == b'&')
            .filter_map(move |pair| {
                let mut parts = pair.splitn(2, |byte| *byte == b'=');
                let field = parts.next()?;
                let value = parts.next().unwrap_or_default();
                decode(field)
                    .is_some_and(|field| field.as_str() == name)
                    .then_some(value)
            })
    }
}

fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Undoes the encoding of forms; none if the result is not UTF-8.
fn decode(encoded: &[u8]) -> Option<Zeroizing<String>> {
    let spaced: Zeroizing<Vec<u8>> = Zeroizing::new(
        encoded
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect(),
    );
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8(bytes).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded;

    use super::*;

    fn form(text: &str) -> Form<'_> {
        Form {
            fields: Cow::Borrowed(text.as_bytes()),
        }
    }

    fn value(text: &str) -> Result<String, FormError> {
        form(text)
            .required("name", 10)
            .map(|value| value.to_string())
    }

    #[test]
    fn a_field_is_decoded_and_never_trimmed() {
        assert_eq!(value("x=1&name=+a%20%c3%a9%00+"), Ok(" a é\0 ".to_owned()));
        assert_eq!(value("n%61me=1"), Ok("1".to_owned()));
        assert_eq!(value("name=a=b%zz"), Ok("a=b%zz".to_owned()));
    }

    #[test]
    fn a_field_that_is_not_as_expected_is_named() {
        let missing = Err(FormError::Field("name", "is missing"));
        for text in ["", "&&&", "name", "name=", "Name=a", "nam=e", "%ff=1"] {
            assert_eq!(value(text), missing, "{text}");
        }
        let twice = Err(FormError::Field("name", "was sent more than once"));
        assert_eq!(value("name=a&name=a"), twice);
        assert_eq!(value("name=&n%61me=a"), twice);
        assert_eq!(
            value("name=%ff"),
            Err(FormError::Field("name", "is not UTF-8"))
        );
        assert_eq!(value("name=%c3%a9bcdefghij"), Ok("ébcdefghij".to_owned()));
        assert_eq!(
            value("name=abcdefghijk"),
            Err(FormError::Field("name", "is too long"))
        );
    }

    proptest! {
        #[test]
        fn what_a_browser_encodes_is_what_we_read(username: String, password: String) {
            let text = form_urlencoded::Serializer::new(String::new())
                .append_pair("username", &username)
                .append_pair("password", &password)
                .finish();
            let form = form(&text);
            let read = |name| form.optional(name, usize::MAX).unwrap().unwrap().to_string();
            prop_assert_eq!((read("username"), read("password")), (username, password));
        }

        #[test]
        fn no_bytes_break_the_reader(bytes: Vec<u8>) {
            let form = Form { fields: Cow::Owned(bytes) };
            let _ = form.required("username", 64);
        }
    }
}
