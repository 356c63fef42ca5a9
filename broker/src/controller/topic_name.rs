//! Which names a topic may have.
//!
//! A topic's name is also the name of a directory and of metrics: hence the few characters, and the
//! rule that `.` and `_` do not make two names different.

use super::image::MetadataImage;

/// A directory name is the topic's name, a hyphen and a number of at most ten digits; with the
/// suffix of a directory on its way out it must still fit the 255 bytes of a file name.
const LENGTH_MAX: usize = 249;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// Nothing.
    #[error("Topic name is invalid: it must not be empty")]
    Empty,
    /// A name that means a directory itself.
    #[error("Topic name is invalid: '{name}' is not allowed")]
    Dots {
        /// The name.
        name: String,
    },
    /// Longer than a file name allows.
    #[error("Topic name is invalid: it has {length} characters, and {LENGTH_MAX} are allowed")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// A character that may not stand in a name.
    #[error(
        "Topic name is invalid: '{name}' contains one or more characters other than ASCII \
         alphanumerics, '.', '_' and '-'"
    )]
    Characters {
        /// The name.
        name: String,
    },
}

/// Checks the form of a name.
///
/// # Errors
/// [`TopicNameError`] says what is wrong with it.
pub fn check_topic_name(name: &str) -> Result<(), TopicNameError> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        Err(TopicNameError::Empty)
    } else if name == "." || name == ".." {
        Err(TopicNameError::Dots { name: name.to_owned() })
    } else if name.chars().count() > LENGTH_MAX {
        Err(TopicNameError::TooLong { length: name.chars().count() })
    } else if !name.chars().all(is_allowed) {
        Err(TopicNameError::Characters { name: name.to_owned() })
    } else {
        Ok(())
    }
}

/// The topic whose name differs from `name` only in `.` and `_`, if there is one.
pub(super) fn collision<'a>(image: &'a MetadataImage, name: &str) -> Option<&'a str> {
    if !name.contains(['.', '_']) {
        return None;
    }
    // Names that collide agree up to the first of the two characters: only those are looked at.
    let stem = name.split(['.', '_']).next().unwrap_or_default();
    let same = |other: &str| {
        other.len() == name.len()
            && other.bytes().zip(name.bytes()).all(|(a, b)| flat(a) == flat(b))
    };
    image
        .topics_from(stem)
        .map(|topic| &*topic.name)
        .take_while(|other| other.starts_with(stem))
        .find(|other| *other != name && same(other))
}

fn flat(byte: u8) -> u8 {
    if byte == b'.' { b'_' } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_path_characters_are_refused() {
        let longest = "x".repeat(249);
        for good in ["a", "A-b_c.9", "...", "__consumer_offsets", &longest] {
            assert_eq!(check_topic_name(good), Ok(()), "{good}");
        }
        let too_long = "x".repeat(250);
        let hostile =
            ["", ".", "..", "a/b", "../etc", "a\\b", "a b", "a\0b", "é", "a\n", "%2e", &too_long];
        for bad in hostile {
            assert!(check_topic_name(bad).is_err(), "{bad:?}");
        }
    }
}
