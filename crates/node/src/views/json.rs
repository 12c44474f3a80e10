//! A writer of JSON (RFC 8259) that can't write anything else: containers are closed by leaving the function that fills
//! them, and texts are escaped. It is so small that a dependency would be more to read.

use std::fmt::{Display, Write};

/// Writes one value.
pub struct Value<'a> {
    to: &'a mut String,
}

/// Writes the members of an object.
pub struct Object<'a> {
    to: &'a mut String,
    first: bool,
}

/// Writes the elements of an array.
pub struct Array<'a> {
    to: &'a mut String,
    first: bool,
}

/// The text of one value.
pub fn text_of(fill: impl FnOnce(Value<'_>)) -> String {
    let mut to = String::new();
    fill(Value { to: &mut to });
    to
}

impl Value<'_> {
    /// A text.
    pub fn text(self, value: &str) {
        self.to.push('"');
        for c in value.chars() {
            match c {
                '"' => self.to.push_str("\\\""),
                '\\' => self.to.push_str("\\\\"),
                '\n' => self.to.push_str("\\n"),
                c if c < ' ' || c == '\u{7f}' => put(self.to, format_args!("\\u{:04x}", u32::from(c))),
                c => self.to.push(c),
            }
        }
        self.to.push('"');
    }

    /// A whole number.
    pub fn number(self, value: impl Into<i128>) {
        put(self.to, value.into());
    }

    /// A truth.
    pub fn bool(self, value: bool) {
        self.to.push_str(if value { "true" } else { "false" });
    }

    /// Nothing.
    pub fn null(self) {
        self.to.push_str("null");
    }

    /// An object with what `fill` adds.
    pub fn object(self, fill: impl FnOnce(&mut Object<'_>)) {
        self.to.push('{');
        fill(&mut Object { to: self.to, first: true });
        self.to.push('}');
    }

    /// An array with what `fill` adds.
    pub fn array(self, fill: impl FnOnce(&mut Array<'_>)) {
        self.to.push('[');
        fill(&mut Array { to: self.to, first: true });
        self.to.push(']');
    }

    /// An array of one value for each of `items`.
    pub fn list<T>(self, items: impl IntoIterator<Item = T>, each: impl Fn(Value<'_>, T)) {
        self.array(|array| items.into_iter().for_each(|item| each(array.element(), item)));
    }
}

impl Object<'_> {
    /// A member of this name; what is returned writes its value.
    #[must_use = "a name without a value isn't JSON"]
    pub fn member(&mut self, name: &str) -> Value<'_> {
        if !std::mem::take(&mut self.first) {
            self.to.push(',');
        }
        Value { to: self.to }.text(name);
        self.to.push(':');
        Value { to: self.to }
    }

    /// A text.
    pub fn text(&mut self, name: &str, value: &str) {
        self.member(name).text(value);
    }

    /// A whole number.
    pub fn number(&mut self, name: &str, value: impl Into<i128>) {
        self.member(name).number(value);
    }

    /// A count of things in memory.
    pub fn count(&mut self, name: &str, value: usize) {
        self.member(name).number(value as u64);
    }

    /// A truth.
    pub fn bool(&mut self, name: &str, value: bool) {
        self.member(name).bool(value);
    }

    /// A whole number, or null.
    pub fn number_or_null(&mut self, name: &str, value: Option<impl Into<i128>>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.member(name).null(),
        }
    }
}

impl Array<'_> {
    /// One more element; what is returned writes it.
    #[must_use = "a comma without an element isn't JSON"]
    pub fn element(&mut self) -> Value<'_> {
        if !std::mem::take(&mut self.first) {
            self.to.push(',');
        }
        Value { to: self.to }
    }
}

fn put(to: &mut String, value: impl Display) {
    // Writing to a String can't fail.
    let _ = write!(to, "{value}");
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn texts_are_escaped_and_containers_closed() {
        let json = text_of(|value| {
            value.object(|object| {
                object.text("a\"b", "c\\d\n\u{1}\u{7f}é海");
                object.number("least", i64::MIN);
                object.number("most", u64::MAX);
                object.number_or_null("none", None::<u64>);
                object.member("empty").object(|_| ());
                object.member("list").list([true, false], |value, item| value.bool(item));
            });
        });
        assert_eq!(
            json,
            "{\"a\\\"b\":\"c\\\\d\\n\\u0001\\u007fé海\",\"least\":-9223372036854775808,\
             \"most\":18446744073709551615,\"none\":null,\"empty\":{},\"list\":[true,false]}"
        );
    }
}
