//! Kafka's 128-bit identifiers, printed in URL-safe base64 without padding.
//!
//! Topic ids, directory ids and member ids of the newer protocols. Making random ones is the
//! caller's business: this crate has no source of randomness.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_LENGTH: usize = 22;

/// A 128-bit identifier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// Stands for "no id" on the wire.
    pub const ZERO: Self = Self([0; 16]);
    /// Reserved by Kafka for its metadata topic, and as the id of a directory not chosen yet.
    pub const ONE: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// Takes the bytes in network order.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Shows the bytes in network order.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Says whether this is the id that means "none".
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

/// Why a text is not a [`Uuid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseUuidError {
    #[error("a uuid has {TEXT_LENGTH} characters, not {length}")]
    Length { length: usize },
    #[error("character {position} is not URL-safe base64")]
    Character { position: usize },
    #[error("the last character carries bits beyond 128")]
    Overflow,
}

impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        let text: [u8; TEXT_LENGTH] = std::array::from_fn(|position| {
            // 22 characters hold 132 bits: the last one carries two bits of the id and four zeros.
            let bits = match 122_usize.checked_sub(6 * position) {
                Some(shift) => value >> shift,
                None => value << 4,
            };
            ALPHABET[usize::from(bits.to_le_bytes()[0] & 0x3f)]
        });
        formatter.write_str(&String::from_utf8_lossy(&text))
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != TEXT_LENGTH {
            return Err(ParseUuidError::Length { length: text.len() });
        }
        let mut value = 0_u128;
        for (position, character) in text.bytes().enumerate() {
            let bits = ALPHABET
                .iter()
                .position(|known| *known == character)
                .ok_or(ParseUuidError::Character { position })? as u128;
            if position < TEXT_LENGTH - 1 {
                value = value << 6 | bits;
            } else if bits & 0x0f != 0 {
                return Err(ParseUuidError::Overflow);
            } else {
                value = value << 2 | bits >> 4;
            }
        }
        Ok(Self(value.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: [u8; 16], text: &str) {
        assert_eq!(Uuid::from_bytes(bytes).to_string(), text);
        assert_eq!(text.parse(), Ok(Uuid::from_bytes(bytes)));
    }

    #[test]
    fn text_is_url_safe_base64() {
        check([0; 16], "AAAAAAAAAAAAAAAAAAAAAA");
        check(*Uuid::ONE.as_bytes(), "AAAAAAAAAAAAAAAAAAAAAQ");
        check([0xff; 16], "_____________________w");
        check(
            [0xfb, 0xef, 0xbe, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
            "----AQIDBAUGBwgJCgsMDQ",
        );
    }

    #[test]
    fn refuses_what_is_not_22_characters_of_128_bits() {
        let parse = |text: &str| text.parse::<Uuid>();
        assert_eq!(parse("AAAA"), Err(ParseUuidError::Length { length: 4 }));
        assert_eq!(parse("A+AAAAAAAAAAAAAAAAAAAA"), Err(ParseUuidError::Character { position: 1 }));
        assert_eq!(parse("AAAAAAAAAAAAAAAAAAAAAB"), Err(ParseUuidError::Overflow));
    }
}
