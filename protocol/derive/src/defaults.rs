//! The value of a field that was not on the wire, and the test whether a field has it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, Lit};

use crate::attributes::{DefaultValue, Field};

/// The expression of the field's default.
pub(crate) fn value(field: &Field) -> TokenStream {
    let plain = match &field.default {
        DefaultValue::Null => return quote!(::core::option::Option::None),
        DefaultValue::OfType => quote!(::core::default::Default::default()),
        DefaultValue::Literal(literal) if is_text(literal) => {
            quote!(::std::borrow::ToOwned::to_owned(#literal))
        }
        DefaultValue::Literal(literal) => quote!(#literal),
    };
    if field.is_option { quote!(::core::option::Option::Some(#plain)) } else { plain }
}

/// The test whether `self.field` has its default.
pub(crate) fn is_default(field: &Field) -> TokenStream {
    let name = &field.name;
    let ty = &field.value_type;
    match &field.default {
        DefaultValue::Null => quote!(self.#name.is_none()),
        DefaultValue::Literal(literal) if field.is_option => {
            quote!(self.#name.as_deref() == ::core::option::Option::Some(#literal))
        }
        DefaultValue::Literal(literal) => quote!(self.#name == #literal),
        DefaultValue::OfType if field.is_option => quote! {
            self.#name.as_ref().is_some_and(<#ty as ::flumen_protocol::primitives::Value>::is_default)
        },
        DefaultValue::OfType => {
            quote!(<#ty as ::flumen_protocol::primitives::Value>::is_default(&self.#name))
        }
    }
}

fn is_text(literal: &Expr) -> bool {
    matches!(literal, Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_)))
}
