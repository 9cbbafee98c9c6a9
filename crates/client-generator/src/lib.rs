//! Makes the client of the API from its OpenAPI document.
//!
//! ```text
//!   openapi/v1.json (3.1) ──► openapi/v1-client.json (3.0.3) ──► crates/client/src/generated.rs
//! ```
//!
//! progenitor reads OpenAPI 3.0 only. What lies between both versions, and what a client need not know, is in
//! [`derive()`]. A crate of its own, because a client that does not build could not make its successor.

mod derive;

use anyhow::{Context, Result};
use progenitor::{GenerationSettings, Generator, InterfaceStyle, TagStyle};
use serde_json::Value;

pub use derive::derive;

/// What stands above the generated code.
const HEAD: &str = "// Generated from openapi/v1-client.json by `cargo xtask openapi`. Not to be edited.\n\n";

/// The Rust source of the client of a derived document.
///
/// Errors when the document has something that progenitor cannot express.
pub fn client(document: &Value) -> Result<String> {
    let document = serde_json::from_value(document.clone()).context("this is no OpenAPI 3.0 document")?;
    let mut settings = GenerationSettings::new();
    settings
        .with_interface(InterfaceStyle::Builder)
        .with_tag(TagStyle::Merged)
        .with_map_type("::std::collections::BTreeMap");
    let tokens = Generator::new(&settings).generate_tokens(&document)?;
    let file = syn::parse2(tokens).context("progenitor made something that is no Rust")?;
    Ok(format!("{HEAD}{}", prettyplease::unparse(&file)))
}
