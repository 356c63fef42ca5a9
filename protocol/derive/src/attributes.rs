//! What `#[message(…)]` and `#[wire(…)]` say, parsed and checked.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprUnary, GenericArgument, LitInt, LitStr, PathArguments, Type, UnOp};

use crate::versions::Versions;

/// Which of the two derives is at work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Message,
    Structure,
}

/// The attribute of a whole message.
pub(crate) struct MessageAttributes {
    pub(crate) versions: Versions,
    pub(crate) flexible: Versions,
    /// The API key and the response type, for a request.
    pub(crate) request: Option<(Ident, Ident)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
    Data,
}

impl MessageAttributes {
    pub(crate) fn parse(attributes: &[Attribute], name: &Ident) -> syn::Result<Self> {
        let error = |text: &str| syn::Error::new(name.span(), text);
        let attribute = attributes
            .iter()
            .find(|attribute| attribute.path().is_ident("message"))
            .ok_or_else(|| error("#[derive(Message)] needs a #[message(…)]"))?;
        let (mut kind, mut api, mut response) = (None, None, None);
        let (mut versions, mut flexible) = (None, None);
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("request") {
                kind = Some(Kind::Request);
            } else if meta.path.is_ident("response") && !meta.input.peek(syn::Token![=]) {
                kind = Some(Kind::Response);
            } else if meta.path.is_ident("data") {
                kind = Some(Kind::Data);
            } else if meta.path.is_ident("api") {
                api = Some(meta.value()?.parse::<Ident>()?);
            } else if meta.path.is_ident("response") {
                response = Some(meta.value()?.parse::<Ident>()?);
            } else if meta.path.is_ident("versions") {
                versions = Some(parse_versions(&meta)?);
            } else if meta.path.is_ident("flexible") {
                flexible = Some(parse_versions(&meta)?);
            } else {
                return Err(
                    meta.error("expected request, response, data, api, versions or flexible")
                );
            }
            Ok(())
        })?;
        let request = match (kind, api, response) {
            (Some(Kind::Request), Some(api), Some(response)) => Some((api, response)),
            (Some(Kind::Response | Kind::Data), None, None) => None,
            (Some(Kind::Request), ..) => {
                return Err(error("a request needs api = … and response = …"));
            }
            (Some(_), ..) => return Err(error("api and response belong to a request")),
            (None, ..) => return Err(error("say request, response or data")),
        };
        Ok(Self {
            versions: versions.ok_or_else(|| error("versions = \"…\" is missing"))?,
            flexible: flexible.ok_or_else(|| error("flexible = \"…\" is missing"))?,
            request,
        })
    }
}

/// The value of a field that the wire does not carry.
pub(crate) enum DefaultValue {
    /// The default of the type, which for a nullable field is a present, empty value.
    OfType,
    Null,
    Literal(Expr),
}

/// A field with its attributes.
pub(crate) struct Field {
    pub(crate) name: Ident,
    /// The Rust type, without the `Option` of a nullable field.
    pub(crate) value_type: Type,
    pub(crate) is_option: bool,
    pub(crate) versions: Versions,
    pub(crate) nullable: Versions,
    pub(crate) tag: Option<u32>,
    pub(crate) default: DefaultValue,
    pub(crate) ignorable: bool,
}

impl Field {
    pub(crate) fn parse(field: &syn::Field) -> syn::Result<Self> {
        let name = field.ident.clone().expect("only structs with named fields come here");
        let option_of = option_argument(&field.ty);
        let mut parsed = Self {
            name,
            value_type: option_of.unwrap_or(&field.ty).clone(),
            is_option: option_of.is_some(),
            versions: Versions::ALL,
            nullable: Versions::NONE,
            tag: None,
            default: DefaultValue::OfType,
            ignorable: false,
        };
        for attribute in &field.attrs {
            if attribute.path().is_ident("wire") {
                attribute.parse_nested_meta(|meta| parsed.apply(&meta))?;
            }
        }
        if parsed.is_option == parsed.nullable.is_empty() {
            let text = "Option and nullable = \"…\" go together";
            return Err(syn::Error::new(field.ty.span(), text));
        }
        if !parsed.is_option && matches!(parsed.default, DefaultValue::Null) {
            return Err(syn::Error::new(field.ty.span(), "only an Option can default to null"));
        }
        Ok(parsed)
    }

    fn apply(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if meta.path.is_ident("versions") {
            self.versions = parse_versions(meta)?;
        } else if meta.path.is_ident("nullable") {
            self.nullable = parse_versions(meta)?;
        } else if meta.path.is_ident("tag") {
            self.tag = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?);
        } else if meta.path.is_ident("default") {
            self.default = parse_default(meta)?;
        } else if meta.path.is_ident("ignorable") {
            self.ignorable = true;
        } else {
            return Err(meta.error("expected versions, nullable, tag, default or ignorable"));
        }
        Ok(())
    }

    /// The name without the `r#` that a Rust keyword needs.
    pub(crate) fn wire_name(&self) -> String {
        let name = self.name.to_string();
        name.strip_prefix("r#").unwrap_or(&name).to_owned()
    }

    /// The text after `default =`.
    pub(crate) fn default_text(&self) -> Option<String> {
        match &self.default {
            DefaultValue::OfType => None,
            DefaultValue::Null => Some("null".to_owned()),
            DefaultValue::Literal(Expr::Lit(literal)) => match &literal.lit {
                syn::Lit::Str(text) => Some(text.value()),
                other => Some(other.to_token_stream().to_string()),
            },
            DefaultValue::Literal(other) => Some(compact(other.to_token_stream())),
        }
    }
}

fn compact(tokens: TokenStream) -> String {
    tokens.to_string().replace(' ', "")
}

fn parse_versions(meta: &ParseNestedMeta<'_>) -> syn::Result<Versions> {
    Versions::parse(&meta.value()?.parse::<LitStr>()?)
}

fn parse_default(meta: &ParseNestedMeta<'_>) -> syn::Result<DefaultValue> {
    let value = meta.value()?.parse::<Expr>()?;
    match &value {
        Expr::Path(path) if path.path.is_ident("null") => Ok(DefaultValue::Null),
        Expr::Lit(_) | Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. }) => {
            Ok(DefaultValue::Literal(value))
        }
        other => Err(syn::Error::new(other.span(), "expected null or a literal")),
    }
}

/// The `T` of an `Option<T>`.
fn option_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(argument)) if last.ident == "Option" => Some(argument),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn refusal(field: syn::Field) -> String {
        Field::parse(&field).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_field_without_attributes_is_in_every_version() {
        let field = Field::parse(&parse_quote!(pub r#type: i32)).unwrap();
        assert_eq!(field.wire_name(), "type");
        assert_eq!(field.versions, Versions::ALL);
        assert!(!field.is_option && !field.ignorable);
        assert_eq!((field.tag, field.default_text()), (None, None));
    }

    #[test]
    fn attributes_are_kept_as_they_are_written() {
        let field = Field::parse(&parse_quote! {
            #[wire(versions = "3+", nullable = "4+", default = null, tag = 2, ignorable)]
            pub rack: Option<String>
        });
        let field = field.unwrap();
        assert!(field.is_option && field.ignorable);
        assert_eq!(field.value_type.to_token_stream().to_string(), "String");
        assert_eq!((field.tag, field.default_text()), (Some(2), Some("null".to_owned())));

        let field = Field::parse(&parse_quote!(#[wire(default = -1)] pub epoch: i32)).unwrap();
        assert_eq!(field.default_text(), Some("-1".to_owned()));
    }

    #[test]
    fn contradictions_are_refused() {
        let pair = "Option and nullable = \"…\" go together";
        assert_eq!(refusal(parse_quote!(pub name: Option<String>)), pair);
        assert_eq!(refusal(parse_quote!(#[wire(nullable = "1+")] pub name: String)), pair);
        let null = "only an Option can default to null";
        assert_eq!(refusal(parse_quote!(#[wire(default = null)] pub name: String)), null);
        let unknown = "expected versions, nullable, tag, default or ignorable";
        assert_eq!(refusal(parse_quote!(#[wire(version = "1+")] pub name: String)), unknown);
    }

    #[test]
    fn a_request_names_its_api_and_its_response() {
        let parse = |attribute: Attribute| {
            let name = Ident::new("HeartbeatRequest", proc_macro2::Span::call_site());
            MessageAttributes::parse(&[attribute], &name).map_err(|error| error.to_string())
        };
        let request = parse(parse_quote! {
            #[message(request, api = Heartbeat, response = Answer, versions = "0-4", flexible = "4+")]
        });
        let (api, response) = request.ok().and_then(|attributes| attributes.request).unwrap();
        assert_eq!((api.to_string(), response.to_string()), ("Heartbeat".into(), "Answer".into()));

        let error = parse(parse_quote!(#[message(request, versions = "0", flexible = "none")]));
        assert_eq!(error.err().unwrap(), "a request needs api = … and response = …");
        let error = parse(parse_quote!(#[message(response, versions = "0")]));
        assert_eq!(error.err().unwrap(), "flexible = \"…\" is missing");
    }
}
