//! The code that writes a struct: plain fields in order, then the tagged fields that matter, by tag.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::attributes::Field;
use crate::defaults;

/// The body of `Structure::write`.
pub(crate) fn write(fields: &[Field], message: &str) -> TokenStream {
    let plain = fields.iter().filter(|field| field.tag.is_none()).map(|field| {
        let value = write_value(field, message);
        match field.versions.condition() {
            Some(condition) => {
                let otherwise = refuse_unless_default(field, message);
                quote!(if #condition { #value } #otherwise)
            }
            None => value,
        }
    });
    let tagged_section = write_tagged_section(fields, message);
    quote! {
        #(#plain)*
        #tagged_section
        ::core::result::Result::Ok(())
    }
}

/// The `else` branch of a field that the version does not have.
fn refuse_unless_default(field: &Field, message: &str) -> TokenStream {
    if field.ignorable {
        return TokenStream::new();
    }
    let is_default = defaults::is_default(field);
    let wire_name = field.wire_name();
    quote! {
        else if !(#is_default) {
            return ::core::result::Result::Err(::flumen_protocol::EncodeError::UnsupportedField {
                message: #message,
                field: #wire_name,
                version,
            });
        }
    }
}

/// The statement that writes a value that the version has.
fn write_value(field: &Field, message: &str) -> TokenStream {
    let (name, ty) = (&field.name, &field.value_type);
    if !field.is_option {
        return quote! {
            <#ty as ::flumen_protocol::primitives::Value>::write(
                &self.#name, writer, version, flexible,
            )?;
        };
    }
    let nullable = quote! {
        <#ty as ::flumen_protocol::primitives::NullableValue>::write_nullable(
            self.#name.as_ref(), writer, version, flexible,
        )?;
    };
    let condition = match field.nullable.condition() {
        Some(condition) if !field.nullable.covers(field.versions) => condition,
        _ => return nullable,
    };
    let wire_name = field.wire_name();
    quote! {
        if #condition {
            #nullable
        } else if let ::core::option::Option::Some(value) = &self.#name {
            <#ty as ::flumen_protocol::primitives::Value>::write(value, writer, version, flexible)?;
        } else {
            return ::core::result::Result::Err(::flumen_protocol::EncodeError::UnexpectedNull {
                message: #message,
                field: #wire_name,
                version,
            });
        }
    }
}

fn write_tagged_section(fields: &[Field], message: &str) -> TokenStream {
    let mut tagged: Vec<&Field> = fields.iter().filter(|field| field.tag.is_some()).collect();
    tagged.sort_by_key(|field| field.tag);
    if tagged.is_empty() {
        return quote!(if flexible {
            writer.put_unsigned_varint(0);
        });
    }
    let flags: Vec<_> =
        tagged.iter().map(|field| format_ident!("has_{}", field.wire_name())).collect();
    let checks = tagged.iter().zip(&flags).map(|(field, flag)| {
        let is_default = defaults::is_default(field);
        let Some(condition) = field.versions.condition() else {
            return quote!(let #flag = !(#is_default););
        };
        let otherwise = refuse_unless_default(field, message);
        let refuse = (!field.ignorable).then(|| quote!(if #condition {} #otherwise));
        quote! {
            #refuse
            let #flag = #condition && !(#is_default);
        }
    });
    let writes = tagged.iter().zip(&flags).map(|(field, flag)| {
        let (tag, value) = (field.tag, write_value(field, message));
        quote! {
            if #flag {
                let start = writer.begin_tagged_field(#tag);
                #value
                writer.end_tagged_field(start)?;
            }
        }
    });
    quote! {
        #(#checks)*
        if flexible {
            writer.put_unsigned_varint(0 #(+ ::core::primitive::u32::from(#flags))*);
            #(#writes)*
        }
    }
}
