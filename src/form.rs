//! What visitors send: forms and queries, read strictly.

use zeroize::Zeroizing;

use crate::fields::{Fields, MAX_FIELDS, TooMany};
use crate::http::Request;

/// Why a form cannot be used.
#[derive(Debug, PartialEq)]
pub enum FormError {
    /// The field, and what is wrong with it.
    Field(&'static str, &'static str),
    /// The field, the greatest length it may have, and the unit of that.
    TooLong(&'static str, usize, &'static str),
    /// The form has more fields than this.
    TooManyFields(usize),
    /// The body is not a form.
    UnsupportedType,
}

/// The fields of a form.
///
/// No `Debug`: it holds passwords.
pub struct Form<'a> {
    fields: Source<'a>,
}

enum Source<'a> {
    Body(&'a Fields),
    Query(Fields),
}

impl<'a> Form<'a> {
    /// The form in a request's body.
    ///
    /// # Errors
    ///
    /// If the body is of another type, or is there but has no type, or has too many fields.
    pub fn of_body(request: &'a Request) -> Result<Self, FormError> {
        match request.header("content-type") {
            Some(value) if is_form(value) => {}
            None if request.body.is_empty() => {}
            _ => return Err(FormError::UnsupportedType),
        }
        let fields = request.body_fields();
        let fields = fields.map_err(|TooMany| FormError::TooManyFields(MAX_FIELDS))?;
        Ok(Self {
            fields: Source::Body(fields),
        })
    }

    /// The fields of a request's query; if there are too many, it counts as empty.
    pub fn of_query(request: &'a Request) -> Self {
        let fields = Fields::parse(request.query.as_bytes());
        Self {
            fields: Source::Query(fields.unwrap_or_default()),
        }
    }

    /// A field that must be there exactly once, not empty, with at most `max` characters.
    ///
    /// # Errors
    ///
    /// Names the field.
    pub fn required(&self, name: &'static str, max: usize) -> Result<Zeroizing<String>, FormError> {
        self.required_as(name, to_the_letter, max)
    }

    /// As [`Form::required`], judged on what `read` makes of the value (see
    /// [`as_typed`](crate::as_typed)).
    ///
    /// # Errors
    ///
    /// Names the field.
    pub fn required_as(
        &self,
        name: &'static str,
        read: fn(&str) -> Zeroizing<String>,
        max: usize,
    ) -> Result<Zeroizing<String>, FormError> {
        self.optional_as(name, read, max)?
            .filter(|value| !value.is_empty())
            .ok_or(FormError::Field(name, "is missing"))
    }

    /// A field that may be missing, but not repeated, with at most `max` characters.
    ///
    /// # Errors
    ///
    /// Names the field.
    pub fn optional(
        &self,
        name: &'static str,
        max: usize,
    ) -> Result<Option<Zeroizing<String>>, FormError> {
        self.optional_as(name, to_the_letter, max)
    }

    /// As [`Form::optional`], judged on what `read` makes of the value.
    ///
    /// # Errors
    ///
    /// Names the field.
    pub fn optional_as(
        &self,
        name: &'static str,
        read: fn(&str) -> Zeroizing<String>,
        max: usize,
    ) -> Result<Option<Zeroizing<String>>, FormError> {
        let mut found = self.fields().values(name);
        let Some(value) = found.next() else {
            return Ok(None);
        };
        if found.next().is_some() {
            return Err(FormError::Field(name, "was sent more than once"));
        }
        let value = read(value.ok_or(FormError::Field(name, "is not UTF-8"))?);
        if value.chars().count() > max {
            return Err(FormError::TooLong(name, max, "characters"));
        }
        Ok(Some(value))
    }

    /// Whether a field of that name was sent at all.
    pub fn has(&self, name: &str) -> bool {
        self.fields().values(name).next().is_some()
    }

    fn fields(&self) -> &Fields {
        match &self.fields {
            Source::Body(fields) => fields,
            Source::Query(fields) => fields,
        }
    }
}

fn to_the_letter(value: &str) -> Zeroizing<String> {
    Zeroizing::new(value.to_owned())
}

fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded;

    use super::*;

    fn form(text: &str) -> Form<'static> {
        let fields = Fields::parse(text.as_bytes()).ok().unwrap();
        Form {
            fields: Source::Query(fields),
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
            Err(FormError::TooLong("name", 10, "characters"))
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
            let fields = Fields::parse(&bytes).unwrap_or_default();
            let form = Form { fields: Source::Query(fields) };
            let _ = form.required("username", 64);
        }
    }
}
