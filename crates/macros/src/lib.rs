//! The attribute that times a function: see `antiphon_telemetry::timed`.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{ItemFn, LitStr, ReturnType, Token, Type, parse_macro_input};

/// `component, stage`, both string literals; the stage is the function's name when it is left out.
struct Names {
    component: LitStr,
    stage: Option<LitStr>,
}

impl Parse for Names {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let component = input.parse()?;
        let comma: Option<Token![,]> = input.parse()?;
        let stage = if comma.is_some() && !input.is_empty() { Some(input.parse()?) } else { None };
        Ok(Self { component, stage })
    }
}

/// Times every call of a function, `async` or not, as a stage of a component. A call that returns `Err` counts as
/// an error too.
///
/// `#[timed("knowledge", "parse")]`; the stage is the function's name when it is left out.
#[proc_macro_attribute]
pub fn timed(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let names = parse_macro_input!(arguments as Names);
    let function = parse_macro_input!(item as ItemFn);
    expand(&names, function).into()
}

fn expand(names: &Names, function: ItemFn) -> Tokens {
    let ItemFn { attrs, vis, sig, block } = function;
    let component = &names.component;
    let stage = match &names.stage {
        Some(stage) => stage.clone(),
        None => LitStr::new(&sig.ident.to_string(), sig.ident.span()),
    };
    let timing = quote! { let timing = ::antiphon_telemetry::timing!(#component, #stage); };
    let output = &sig.output;
    let body = match (returns_result(output), sig.asyncness) {
        (false, _) => quote! { #timing let _timing = timing; #block },
        // What returns early, or by `?`, returns to here.
        (true, None) => quote! {
            #timing
            let result = (move || #output #block)();
            timing.end(result.is_ok());
            result
        },
        (true, Some(_)) => {
            let ReturnType::Type(_, result) = output else { return quote! { #sig #block } };
            quote! {
                #timing
                let result: #result = async move #block.await;
                timing.end(result.is_ok());
                result
            }
        }
    };
    quote! { #(#attrs)* #vis #sig { #body } }
}

fn returns_result(output: &ReturnType) -> bool {
    let ReturnType::Type(_, returned) = output else { return false };
    let Type::Path(path) = returned.as_ref() else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "Result")
}
