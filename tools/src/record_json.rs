//! Records as JSON, one object a line: what `consume --json` prints, `produce --json` reads.
//!
//! Bytes that are UTF-8 come as a text in `key` and `value`; others as base64 in `key_base64` and
//! `value_base64`. A null is null. Reading, every field may be left out, and those that a consumer
//! adds (`topic`, `offset`) are ignored, so that the output of one topic is the input of another.

use bytes::Bytes;
use flumen_protocol::records::RecordHeader;
use serde::{Deserialize, Serialize};

use crate::base64;

/// A record as JSON has it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JsonRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timestamp: Option<i64>,
    #[serde(flatten)]
    pub(crate) key: JsonKey,
    #[serde(flatten)]
    pub(crate) value: JsonValue,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) headers: Vec<JsonHeader>,
}

/// A header as JSON has it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JsonHeader {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) value: JsonValue,
}

impl JsonHeader {
    /// Takes a header; a name that is no UTF-8 loses what is none.
    pub(crate) fn new(header: &RecordHeader) -> Self {
        Self {
            name: String::from_utf8_lossy(&header.key).into_owned(),
            value: JsonValue::new(header.value.as_deref()),
        }
    }
}

// Key and value differ in their names only, which serde wants as literals.
macro_rules! json_bytes {
    ($name:ident, $text:literal, $base64:literal) => {
        #[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) struct $name {
            #[serde(rename = $text, default)]
            text: Option<String>,
            #[serde(rename = $base64, default, skip_serializing_if = "Option::is_none")]
            base64: Option<String>,
        }

        impl $name {
            /// Takes bytes as text if they are one.
            pub(crate) fn new(bytes: Option<&[u8]>) -> Self {
                match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
                    None => Self { text: None, base64: None },
                    Some((_, Ok(text))) => Self { text: Some(text.to_owned()), base64: None },
                    Some((bytes, Err(_))) => {
                        Self { text: None, base64: Some(base64::encode(bytes)) }
                    }
                }
            }

            /// Gives the bytes back; an error names the field that is no base64.
            pub(crate) fn into_bytes(self) -> Result<Option<Bytes>, &'static str> {
                match (self.text, self.base64) {
                    (_, Some(coded)) => {
                        let bytes = base64::decode(&coded).ok_or($base64)?;
                        Ok(Some(bytes.into()))
                    }
                    (text, None) => Ok(text.map(Bytes::from)),
                }
            }
        }
    };
}

json_bytes!(JsonKey, "key", "key_base64");
json_bytes!(JsonValue, "value", "value_base64");

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: Option<&[u8]>, value: Option<&[u8]>, expected: &str) {
        let record = JsonRecord {
            key: JsonKey::new(key),
            value: JsonValue::new(value),
            ..Default::default()
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(text, expected);
        let read: JsonRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(read.key.into_bytes().unwrap().as_deref(), key);
        assert_eq!(read.value.into_bytes().unwrap().as_deref(), value);
    }

    #[test]
    fn text_nulls_and_bytes_survive() {
        check(Some(b"k"), Some(b"v"), r#"{"key":"k","value":"v"}"#);
        check(None, None, r#"{"key":null,"value":null}"#);
        check(None, Some(b""), r#"{"key":null,"value":""}"#);
        check(None, Some(b"\xff"), r#"{"key":null,"value":null,"value_base64":"/w=="}"#);
    }

    #[test]
    fn fields_may_be_left_out() {
        let read: JsonRecord = serde_json::from_str(r#"{"value":"x","offset":7}"#).unwrap();
        assert_eq!(read.key, JsonKey::default());
        assert!(read.headers.is_empty());
        let read: JsonRecord = serde_json::from_str(r#"{"value_base64":"!"}"#).unwrap();
        assert_eq!(read.value.into_bytes(), Err("value_base64"));
    }
}
