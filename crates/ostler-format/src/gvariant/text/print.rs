//! From values to text.

use std::fmt::Write as _;

use crate::gvariant::{Type, Value};

impl Value {
    /// Returns the value as text, as `g_variant_print` gives it.
    ///
    /// With `annotate`, types that cannot be seen are written out (`uint64 5`, `@as []`), so that parsing
    /// the text gives the same value again. Inside variants they always are.
    pub fn print(&self, annotate: bool) -> String {
        let mut text = String::new();
        print(&mut text, self, annotate);
        text
    }
}

fn print(out: &mut String, value: &Value, annotate: bool) {
    let keyword = match value {
        Value::Byte(_) => "byte ",
        Value::I16(_) => "int16 ",
        Value::U16(_) => "uint16 ",
        Value::U32(_) => "uint32 ",
        Value::I64(_) => "int64 ",
        Value::U64(_) => "uint64 ",
        Value::Handle(_) => "handle ",
        Value::ObjectPath(_) => "objectpath ",
        Value::Signature(_) => "signature ",
        _ => "",
    };
    if annotate {
        out.push_str(keyword);
    }
    match value {
        Value::Bool(value) => append(out, format_args!("{value}")),
        Value::Byte(value) => append(out, format_args!("0x{value:02x}")),
        Value::I16(value) => append(out, format_args!("{value}")),
        Value::U16(value) => append(out, format_args!("{value}")),
        Value::I32(value) | Value::Handle(value) => append(out, format_args!("{value}")),
        Value::U32(value) => append(out, format_args!("{value}")),
        Value::I64(value) => append(out, format_args!("{value}")),
        Value::U64(value) => append(out, format_args!("{value}")),
        Value::Double(value) => double(out, *value),
        Value::Str(text) => string(out, text),
        // Their grammar leaves nothing to escape.
        Value::ObjectPath(text) | Value::Signature(text) => append(out, format_args!("'{text}'")),
        Value::Variant(child) => {
            out.push('<');
            print(out, child, true);
            out.push('>');
        }
        Value::Maybe(inner, child) => maybe(out, inner, child.as_deref(), annotate),
        Value::Bytes(bytes) => match bytestring(bytes) {
            Some(text) => out.push_str(&text),
            None => byte_array(out, bytes, annotate),
        },
        Value::Array(element, elements) => array(out, element, elements, annotate),
        Value::Tuple(members) => {
            let comma = if members.len() == 1 { "," } else { "" };
            out.push('(');
            separated(out, members, |out, member, _| print(out, member, annotate));
            out.push_str(comma);
            out.push(')');
        }
        Value::DictEntry(key, value) => {
            out.push('{');
            print(out, key, annotate);
            out.push_str(", ");
            print(out, value, annotate);
            out.push('}');
        }
    }
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}

fn separated<T>(out: &mut String, items: &[T], mut print: impl FnMut(&mut String, &T, usize)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        print(out, item, index);
    }
}

/// The first element tells the type of the others.
fn array(out: &mut String, element: &Type, elements: &[Value], annotate: bool) {
    let dictionary = matches!(element, Type::DictEntry(..));
    if elements.is_empty() && annotate {
        append(out, format_args!("@a{element} "));
    }
    out.push(if dictionary { '{' } else { '[' });
    separated(out, elements, |out, value, index| {
        let annotate = annotate && index == 0;
        match value {
            Value::DictEntry(key, value) if dictionary => {
                print(out, key, annotate);
                out.push_str(": ");
                print(out, value, annotate);
            }
            value => print(out, value, annotate),
        }
    });
    out.push(if dictionary { '}' } else { ']' });
}

fn byte_array(out: &mut String, bytes: &[u8], annotate: bool) {
    if bytes.is_empty() && annotate {
        out.push_str("@ay ");
    }
    out.push('[');
    separated(out, bytes, |out, byte, index| {
        print(out, &Value::Byte(*byte), annotate && index == 0);
    });
    out.push(']');
}

/// `just` is only written where `nothing` alone would mean another level.
fn maybe(out: &mut String, inner: &Type, child: Option<&Value>, annotate: bool) {
    if annotate {
        append(out, format_args!("@m{inner} "));
    }
    let Some(child) = child else {
        out.push_str("nothing");
        return;
    };
    let mut innermost = child;
    while let Value::Maybe(_, Some(next)) = innermost {
        innermost = next;
    }
    if matches!(innermost, Value::Maybe(_, None)) {
        out.push_str("just ");
    }
    print(out, child, false);
}

fn string(out: &mut String, text: &str) {
    let quote = if text.contains('\'') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            _ if c == quote => out.extend(['\\', c]),
            _ if is_printable(c) => out.push(c),
            _ => match control(c) {
                Some(letter) => out.extend(['\\', letter]),
                None if u32::from(c) < 0x10000 => append(out, format_args!("\\u{:04x}", u32::from(c))),
                None => append(out, format_args!("\\U{:08x}", u32::from(c))),
            },
        }
    }
    out.push(quote);
}

fn control(c: char) -> Option<char> {
    Some(match c {
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        _ => return None,
    })
}

/// Whether a character is neither a control nor a format character nor unassigned.
///
/// The standard library only tells so by what it escapes, among which it counts private and separating
/// characters too. (A combining character is escaped at the start of a text only, hence the `a`.)
fn is_printable(c: char) -> bool {
    let private =
        matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}');
    if c.is_control() {
        return false;
    }
    if private || c.is_whitespace() || matches!(c, '\'' | '"' | '\\') {
        return true;
    }
    let mut pair = [b'a'; 5];
    let (_, tail) = pair.split_at_mut(1);
    let len = c.encode_utf8(tail).len() + 1;
    let text = pair.get(..len).and_then(|pair| std::str::from_utf8(pair).ok());
    text.is_some_and(|text| text.escape_debug().nth(1) == Some(c))
}

/// The text of bytes whose only NUL is the last one.
fn bytestring(bytes: &[u8]) -> Option<String> {
    let (0, bytes) = bytes.split_last()? else {
        return None;
    };
    if bytes.contains(&0) {
        return None;
    }
    let quote = if bytes.contains(&b'\'') { '"' } else { '\'' };
    let mut text = format!("b{quote}");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            // A bell has no letter of its own in bytestrings.
            0x07 => text.push_str("\\007"),
            _ => match control(char::from(*byte)) {
                Some(letter) => text.extend(['\\', letter]),
                None => append(&mut text, format_args!("\\{byte:03o}")),
            },
        }
    }
    text.push(quote);
    Some(text)
}

/// Seventeen significant digits, with an exponent where it is below -4 or above 16, as `%.17g` gives them;
/// `.0` where nothing else tells a fraction from an integer.
fn double(out: &mut String, value: f64) {
    const DIGITS: i32 = 17;
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_nan() {
        append(out, format_args!("{sign}nan"));
        return;
    }
    if value.is_infinite() {
        append(out, format_args!("{sign}inf"));
        return;
    }
    let scientific = format!("{:.16e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    out.push_str(sign);
    if (-4..DIGITS).contains(&exponent) {
        let leading = usize::try_from(-exponent).unwrap_or(0);
        let digits = format!("{}{digits}", "0".repeat(leading));
        let whole = usize::try_from(exponent).unwrap_or(0) + 1;
        let fraction = digits.get(whole..).unwrap_or_default();
        let padded = format!("{digits:0<whole$}");
        out.push_str(padded.get(..whole).unwrap_or_default());
        out.push('.');
        out.push_str(if fraction.is_empty() { "0" } else { fraction });
    } else {
        let first = digits.get(..1).unwrap_or("0");
        let rest = digits.get(1..).unwrap_or_default();
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        append(
            out,
            format_args!("{first}{point}{rest}e{sign}{:02}", exponent.abs()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_controls_formats_and_unassigned_characters_are_escaped() {
        for c in [
            'a',
            ' ',
            '"',
            '\u{a0}',
            '\u{301}',
            '\u{2028}',
            '\u{3000}',
            '\u{e000}',
            '\u{1f600}',
        ] {
            assert!(is_printable(c), "{c:?}");
        }
        for c in [
            '\u{1}',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{200b}',
            '\u{200d}',
            '\u{378}',
            '\u{e0001}',
        ] {
            assert!(!is_printable(c), "{c:?}");
        }
    }

    #[test]
    fn unprintable_characters_have_the_shortest_escape() {
        let value = Value::Str("\u{7}\n\u{1b}\u{200b}\u{e0001}".to_owned());
        assert_eq!(value.print(false), r"'\a\n\u001b\u200b\U000e0001'");
    }
}
