//! What is read from a form survives being written as a browser would and read again.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;
use std::time::Duration;

use auth_user::clock::Moment;
use auth_user::form::Form;
use auth_user::http::{Method, Request};
use libfuzzer_sys::fuzz_target;
use url::form_urlencoded;

fuzz_target!(|bytes: &[u8]| {
    let first = request(bytes.to_vec());
    let Ok(Some(name)) = read(&first) else {
        return;
    };
    let mut text = form_urlencoded::Serializer::new(String::new());
    let again = request(text.append_pair("username", &name).finish().into_bytes());
    assert_eq!(read(&again), Ok(Some(name)));
});

fn read(request: &Request) -> Result<Option<String>, auth_user::form::FormError> {
    let form = Form::of_body(request)?;
    Ok(form.optional("username", 64)?.map(|name| name.to_string()))
}

fn request(body: Vec<u8>) -> Request {
    let form = "application/x-www-form-urlencoded".to_owned();
    Request {
        method: Method::Post,
        path: "/login".to_owned(),
        query: String::new(),
        headers: vec![("content-type".to_owned(), form)],
        body,
        fields: OnceLock::new(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        received: Moment {
            wall: 0,
            steady: Duration::ZERO,
        },
    }
}
