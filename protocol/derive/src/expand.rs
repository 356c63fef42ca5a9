//! Puts the trait implementations together.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, Ident};

use crate::attributes::{Field, MessageAttributes, Role};
use crate::{decode, defaults, encode};

/// Expands either derive.
pub(crate) fn expand(input: &DeriveInput, role: Role) -> syn::Result<TokenStream> {
    let name = &input.ident;
    let fields = parse_fields(input)?;
    let structure = structure(name, &fields);
    let default = default(name, &fields);
    let message = match role {
        Role::Message => message(name, &MessageAttributes::parse(&input.attrs, name)?),
        Role::Structure => TokenStream::new(),
    };
    Ok(quote! {
        #structure
        #default
        #message
    })
}

fn parse_fields(input: &DeriveInput) -> syn::Result<Vec<Field>> {
    let error = || syn::Error::new(input.ident.span(), "expected a struct with named fields");
    let Data::Struct(data) = &input.data else { return Err(error()) };
    match &data.fields {
        Fields::Named(fields) => fields.named.iter().map(Field::parse).collect(),
        Fields::Unit | Fields::Unnamed(_) => Err(error()),
    }
}

fn structure(name: &Ident, fields: &[Field]) -> TokenStream {
    let text = name.to_string();
    let schema = fields.iter().map(field_schema);
    let read = decode::read(fields);
    let write = encode::write(fields, &text);
    let min_size = decode::min_size(fields);
    quote! {
        #[automatically_derived]
        #[allow(unused_variables, clippy::all, reason = "not every struct has all kinds of fields")]
        impl ::flumen_protocol::message::Structure for #name {
            const SCHEMA: &'static ::flumen_protocol::schema::Struct =
                &::flumen_protocol::schema::Struct {
                    name: #text,
                    memory: ::core::mem::size_of::<Self>(),
                    fields: &[#(#schema),*],
                };

            fn read(
                reader: &mut ::flumen_protocol::Reader,
                version: i16,
                flexible: bool,
            ) -> ::core::result::Result<Self, ::flumen_protocol::DecodeError> {
                #read
            }

            fn write(
                &self,
                writer: &mut ::flumen_protocol::FrameWriter,
                version: i16,
                flexible: bool,
            ) -> ::core::result::Result<(), ::flumen_protocol::EncodeError> {
                #write
            }

            fn min_size(version: i16, flexible: bool) -> usize {
                #min_size
            }
        }
    }
}

fn field_schema(field: &Field) -> TokenStream {
    let (name, ty) = (field.wire_name(), &field.value_type);
    let (versions, nullable) = (field.versions.constant(), field.nullable.constant());
    let tag = optional(field.tag);
    let default = optional(field.default_text());
    let ignorable = field.ignorable;
    quote! {
        ::flumen_protocol::schema::Field {
            name: #name,
            kind: <#ty as ::flumen_protocol::primitives::Value>::TYPE,
            versions: #versions,
            nullable: #nullable,
            tag: #tag,
            default: #default,
            ignorable: #ignorable,
        }
    }
}

fn optional(value: Option<impl quote::ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

fn default(name: &Ident, fields: &[Field]) -> TokenStream {
    let names = fields.iter().map(|field| &field.name);
    let values = fields.iter().map(defaults::value);
    quote! {
        #[automatically_derived]
        impl ::core::default::Default for #name {
            fn default() -> Self {
                Self { #(#names: #values),* }
            }
        }
    }
}

fn message(name: &Ident, attributes: &MessageAttributes) -> TokenStream {
    let (versions, flexible) = (attributes.versions.constant(), attributes.flexible.constant());
    let request = attributes.request.as_ref().map(|(api, response)| {
        quote! {
            #[automatically_derived]
            impl ::flumen_protocol::Request for #name {
                const API_KEY: ::flumen_protocol::ApiKey = ::flumen_protocol::ApiKey::#api;
                type Response = #response;
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl ::flumen_protocol::Message for #name {
            const SCHEMA: &'static ::flumen_protocol::schema::Message =
                &::flumen_protocol::schema::Message {
                    versions: #versions,
                    flexible: #flexible,
                    root: <Self as ::flumen_protocol::message::Structure>::SCHEMA,
                };
        }
        #request
    }
}
