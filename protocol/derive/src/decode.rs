//! The code that reads a struct: plain fields in order, then the tagged section.

use proc_macro2::TokenStream;
use quote::quote;

use crate::attributes::Field;
use crate::defaults;

/// The body of `Structure::read`.
pub(crate) fn read(fields: &[Field]) -> TokenStream {
    let plain = fields.iter().filter(|field| field.tag.is_none()).map(read_plain);
    let names = fields.iter().map(|field| &field.name);
    let tagged_section = read_tagged_section(fields);
    quote! {
        #(#plain)*
        #tagged_section
        ::core::result::Result::Ok(Self { #(#names),* })
    }
}

/// The body of `Structure::min_size`.
pub(crate) fn min_size(fields: &[Field]) -> TokenStream {
    let plain = fields.iter().filter(|field| field.tag.is_none()).map(|field| {
        let ty = &field.value_type;
        let size = if field.is_option {
            quote!(size += <#ty as ::flumen_protocol::primitives::NullableValue>::null_size(flexible);)
        } else {
            quote!(size += <#ty as ::flumen_protocol::primitives::Value>::min_size(version, flexible);)
        };
        match field.versions.condition() {
            Some(condition) => quote!(if #condition { #size }),
            None => size,
        }
    });
    quote! {
        let mut size = ::core::convert::Into::<usize>::into(flexible);
        #(#plain)*
        size
    }
}

fn read_plain(field: &Field) -> TokenStream {
    let name = &field.name;
    let value = read_value(field);
    match field.versions.condition() {
        Some(condition) => {
            let default = defaults::value(field);
            quote!(let #name = if #condition { #value } else { #default };)
        }
        None => quote!(let #name = #value;),
    }
}

/// The expression that reads a value that is there, with errors that name the field.
fn read_value(field: &Field) -> TokenStream {
    let ty = &field.value_type;
    let wire_name = field.wire_name();
    let required = quote! {
        <#ty as ::flumen_protocol::primitives::Value>::read(reader, version, flexible)
            .map_err(|error| error.in_field(#wire_name))?
    };
    if !field.is_option {
        return required;
    }
    let nullable = quote! {
        <#ty as ::flumen_protocol::primitives::NullableValue>::read_nullable(reader, version, flexible)
            .map_err(|error| error.in_field(#wire_name))?
    };
    match field.nullable.condition() {
        Some(condition) if !field.nullable.covers(field.versions) => {
            quote!(if #condition { #nullable } else { ::core::option::Option::Some(#required) })
        }
        _ => nullable,
    }
}

fn read_tagged_section(fields: &[Field]) -> TokenStream {
    let tagged: Vec<&Field> = fields.iter().filter(|field| field.tag.is_some()).collect();
    if tagged.is_empty() {
        return quote!(if flexible {
            reader.skip_tagged_fields()?;
        });
    }
    let defaults = tagged.iter().map(|field| {
        let name = &field.name;
        let default = defaults::value(field);
        quote!(let mut #name = #default;)
    });
    let arms = tagged.iter().map(|field| {
        let (name, tag, value) = (&field.name, field.tag, read_value(field));
        let guard = field.versions.condition().map(|condition| quote!(if #condition));
        quote!(#tag #guard => #name = #value,)
    });
    quote! {
        #(#defaults)*
        if flexible {
            for _ in 0..reader.read_tagged_field_count()? {
                let field = reader.read_tagged_field_start()?;
                match field.tag {
                    #(#arms)*
                    _ => reader.skip(field.size)?,
                }
                reader.finish_tagged_field(field)?;
            }
        }
    }
}
