//! The `-f` format of `flumen consume`: a text with `%` fields, printed once for each record.
//!
//! | field | is | field | is |
//! |---|---|---|---|
//! | `%k` | the key | `%K` | its length |
//! | `%v` | the value | `%V` | its length |
//! | `%h{…}` | for each header, with `%k` and `%v` in it | `%H` | number of headers |
//! | `%t` | the topic | `%p` | the partition |
//! | `%o` | the offset | `%d` | the timestamp, in milliseconds |
//! | `%i` | number of the record in this run, from 1 | `%%` | a percent sign |
//!
//! `%k{hex}`, `%k{base64}` print bytes in a readable form (`%v` too), `%d{iso}` the timestamp as a
//! date. A null key or value prints nothing, and its length is -1. `\n`, `\t`, `\r`, `\\` and `\xNN` are
//! what they are in most languages.

use std::io::{self, Write};

use flumen_protocol::records::RecordHeader;

use crate::base64;

/// A parsed format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordFormat {
    parts: Vec<Part>,
}

/// What a format is applied to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [RecordHeader],
    /// Counts the records of a run, from 1.
    pub(crate) number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Key(Bytewise),
    Value(Bytewise),
    KeyLength,
    ValueLength,
    Headers(Vec<Self>),
    HeaderCount,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Date,
    Number,
}

/// How bytes are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bytewise {
    Raw,
    Hex,
    Base64,
}

/// Why a format cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("unknown field %{0}; `flumen consume --help` lists the fields")]
    UnknownField(char),
    #[error("the format ends inside a field")]
    Unfinished,
    #[error("%{field} cannot be printed as {{{modifier}}}")]
    UnknownModifier { field: char, modifier: String },
    #[error("\\{0} is no escape; write \\\\ for a backslash")]
    UnknownEscape(char),
}

impl RecordFormat {
    /// Parses a format.
    pub(crate) fn parse(text: &str) -> Result<Self, FormatError> {
        parse(text).map(|parts| Self { parts })
    }

    /// Prints one record.
    pub(crate) fn write(&self, out: &mut impl Write, record: &Fields<'_>) -> io::Result<()> {
        write_parts(&self.parts, out, record)
    }
}

fn parse(text: &str) -> Result<Vec<Part>, FormatError> {
    let mut parts = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '%' => match rest.next().ok_or(FormatError::Unfinished)? {
                '%' => literal.push(b'%'),
                field => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    let modifier = modifier(&mut rest)?;
                    parts.push(field_part(field, modifier)?);
                }
            },
            '\\' => literal.push(escape(&mut rest)?),
            other => literal.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(parts)
}

/// Takes `{…}`, if that is what comes next; braces inside are counted.
fn modifier<'a>(rest: &mut std::str::Chars<'a>) -> Result<Option<&'a str>, FormatError> {
    let Some(inside) = rest.as_str().strip_prefix('{') else {
        return Ok(None);
    };
    let mut depth = 1;
    for (position, character) in inside.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            *rest = inside[position + 1..].chars();
            return Ok(Some(&inside[..position]));
        }
    }
    Err(FormatError::Unfinished)
}

fn field_part(field: char, modifier: Option<&str>) -> Result<Part, FormatError> {
    let unknown =
        |modifier: &str| FormatError::UnknownModifier { field, modifier: modifier.to_owned() };
    let bytewise = || match modifier {
        None => Ok(Bytewise::Raw),
        Some("hex") => Ok(Bytewise::Hex),
        Some("base64") => Ok(Bytewise::Base64),
        Some(other) => Err(unknown(other)),
    };
    let part = match (field, modifier) {
        ('k', _) => return bytewise().map(Part::Key),
        ('v', _) => return bytewise().map(Part::Value),
        ('h', Some(inner)) => return parse(inner).map(Part::Headers),
        ('h', None) => return parse("%k=%v ").map(Part::Headers),
        ('d', Some("iso")) => return Ok(Part::Date),
        ('K', _) => Part::KeyLength,
        ('V', _) => Part::ValueLength,
        ('H', _) => Part::HeaderCount,
        ('t', _) => Part::Topic,
        ('p', _) => Part::Partition,
        ('o', _) => Part::Offset,
        ('d', _) => Part::Timestamp,
        ('i', _) => Part::Number,
        (other, _) => return Err(FormatError::UnknownField(other)),
    };
    modifier.map_or(Ok(part), |modifier| Err(unknown(modifier)))
}

fn escape(rest: &mut std::str::Chars<'_>) -> Result<u8, FormatError> {
    match rest.next().ok_or(FormatError::Unfinished)? {
        'n' => Ok(b'\n'),
        't' => Ok(b'\t'),
        'r' => Ok(b'\r'),
        '\\' => Ok(b'\\'),
        'x' => {
            let digits = rest.as_str().get(..2).ok_or(FormatError::Unfinished)?;
            let byte = u8::from_str_radix(digits, 16)
                .map_err(|_not_hexadecimal| FormatError::UnknownEscape('x'))?;
            *rest = rest.as_str()[2..].chars();
            Ok(byte)
        }
        other => Err(FormatError::UnknownEscape(other)),
    }
}

fn write_parts(parts: &[Part], out: &mut impl Write, record: &Fields<'_>) -> io::Result<()> {
    for part in parts {
        match part {
            Part::Text(text) => out.write_all(text)?,
            Part::Key(how) => write_bytes(out, *how, record.key)?,
            Part::Value(how) => write_bytes(out, *how, record.value)?,
            Part::KeyLength => write_length(out, record.key)?,
            Part::ValueLength => write_length(out, record.value)?,
            Part::Headers(inner) => {
                for header in record.headers {
                    let (key, value) = (Some(&header.key[..]), header.value.as_deref());
                    let header = Fields { key, value, ..*record };
                    write_parts(inner, out, &header)?;
                }
            }
            Part::HeaderCount => write!(out, "{}", record.headers.len())?,
            Part::Topic => out.write_all(record.topic.as_bytes())?,
            Part::Partition => write!(out, "{}", record.partition)?,
            Part::Offset => write!(out, "{}", record.offset)?,
            Part::Timestamp => write!(out, "{}", record.timestamp)?,
            Part::Date => out.write_all(date(record.timestamp).as_bytes())?,
            Part::Number => write!(out, "{}", record.number)?,
        }
    }
    Ok(())
}

fn write_bytes(out: &mut impl Write, how: Bytewise, bytes: Option<&[u8]>) -> io::Result<()> {
    let bytes = bytes.unwrap_or_default();
    match how {
        Bytewise::Raw => out.write_all(bytes),
        Bytewise::Hex => bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}")),
        Bytewise::Base64 => out.write_all(base64::encode(bytes).as_bytes()),
    }
}

fn write_length(out: &mut impl Write, bytes: Option<&[u8]>) -> io::Result<()> {
    match bytes {
        Some(bytes) => write!(out, "{}", bytes.len()),
        None => write!(out, "-1"),
    }
}

/// A timestamp as a date in UTC; one that is none prints as the number it is.
pub(crate) fn date(timestamp: i64) -> String {
    jiff::Timestamp::from_millisecond(timestamp)
        .ok()
        .filter(|_| timestamp >= 0)
        .map_or_else(|| timestamp.to_string(), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, expected: &str) {
        let header = |name: &'static str, value: Option<&'static str>| RecordHeader {
            key: name.into(),
            value: value.map(Into::into),
        };
        let headers = [header("a", Some("1")), header("b", None)];
        let record = Fields {
            topic: "t",
            partition: 3,
            offset: 42,
            timestamp: 1_700_000_000_123,
            key: Some(b"key"),
            value: None,
            headers: &headers,
            number: 1,
        };
        let mut out = Vec::new();
        RecordFormat::parse(format).unwrap().write(&mut out, &record).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
    }

    #[test]
    fn fields_print_what_they_name() {
        check("%p/%o %k=%v\\n", "3/42 key=\n");
        check("%t %K %V %H %i %%", "t 3 -1 2 1 %");
        check("%k{hex} %k{base64}", "6b6579 a2V5");
        check("%d %d{iso}", "1700000000123 2023-11-14T22:13:20.123Z");
        check("%h{%k:%v;}|%h", "a:1;b:;|a=1 b= ");
        check("Grüße\\x21\\t", "Grüße!\t");
    }

    #[test]
    fn mistakes_are_named() {
        let modifier = |field, modifier: &str| FormatError::UnknownModifier {
            field,
            modifier: modifier.to_owned(),
        };
        let cases = [
            ("%z", FormatError::UnknownField('z')),
            ("100%", FormatError::Unfinished),
            ("%k{hex", FormatError::Unfinished),
            ("%k{octal}", modifier('k', "octal")),
            ("%p{hex}", modifier('p', "hex")),
            ("\\q", FormatError::UnknownEscape('q')),
            ("\\xzz", FormatError::UnknownEscape('x')),
            ("\\x1", FormatError::Unfinished),
        ];
        for (format, expected) in cases {
            assert_eq!(RecordFormat::parse(format), Err(expected), "{format}");
        }
    }
}
