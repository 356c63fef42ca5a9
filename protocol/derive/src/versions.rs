//! Version ranges as the attributes write them: `"3"`, `"0-4"`, `"3+"`, `"none"`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::LitStr;

/// A closed range; an open end is `i16::MAX`, no version at all has `min > max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    min: i16,
    max: i16,
}

impl Versions {
    pub(crate) const ALL: Self = Self { min: 0, max: i16::MAX };
    pub(crate) const NONE: Self = Self { min: 0, max: -1 };

    pub(crate) fn parse(literal: &LitStr) -> syn::Result<Self> {
        Self::from_text(&literal.value()).ok_or_else(|| {
            syn::Error::new(
                literal.span(),
                "expected versions like \"3\", \"0-4\", \"3+\", \"none\"",
            )
        })
    }

    fn from_text(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self::NONE);
        }
        let (min, max) = if let Some(min) = text.strip_suffix('+') {
            (min.parse().ok()?, i16::MAX)
        } else if let Some((min, max)) = text.split_once('-') {
            (min.parse().ok()?, max.parse().ok()?)
        } else {
            let only = text.parse().ok()?;
            (only, only)
        };
        (min >= 0 && min <= max).then_some(Self { min, max })
    }

    pub(crate) fn is_empty(self) -> bool {
        self.min > self.max
    }

    pub(crate) fn covers(self, other: Self) -> bool {
        self.min <= other.min && other.max <= self.max
    }

    /// The test whether `version` lies in the range, or nothing if every version does.
    pub(crate) fn condition(self) -> Option<TokenStream> {
        let Self { min, max } = self;
        match (min > 0, max < i16::MAX) {
            (false, false) => None,
            (true, false) => Some(quote!(version >= #min)),
            (false, true) => Some(quote!(version <= #max)),
            (true, true) if min == max => Some(quote!(version == #min)),
            (true, true) => Some(quote!((#min..=#max).contains(&version))),
        }
    }

    /// The range as a constant of the schema.
    pub(crate) fn constant(self) -> TokenStream {
        let Self { min, max } = self;
        quote!(::flumen_protocol::schema::Versions::new(#min, #max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_as_in_schemas() {
        let parse = Versions::from_text;
        assert_eq!(parse("3"), Some(Versions { min: 3, max: 3 }));
        assert_eq!(parse("0-4"), Some(Versions { min: 0, max: 4 }));
        assert_eq!(parse("3+"), Some(Versions { min: 3, max: i16::MAX }));
        assert_eq!(parse("none"), Some(Versions::NONE));
        for wrong in ["", "+", "4-3", "a", "-1", "1-", "1 - 2"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
