//! Reads the tags of a page, as far as the tests need them: templates quote every attribute.

/// The opening tags of a page, each with its attributes: a text must not be able to change these.
pub fn tags(html: &str) -> Vec<&str> {
    html.split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .map(|(tag, _)| tag)
        .filter(|tag| !tag.starts_with(['/', '!']))
        .collect()
}

/// The value of an attribute of an opening tag.
pub fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

pub fn inputs(html: &str) -> impl Iterator<Item = &str> {
    tags(html)
        .into_iter()
        .filter(|tag| tag.starts_with("input "))
        .filter(|tag| !tag.contains(" hidden") && !tag.contains("type=\"hidden\""))
}

pub fn attribute_names(tag: &str) -> Vec<&str> {
    // Without the text in quotes, an attribute is a word.
    tag.split('"')
        .step_by(2)
        .flat_map(str::split_whitespace)
        .collect()
}
