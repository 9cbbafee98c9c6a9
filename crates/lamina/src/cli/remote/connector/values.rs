//! Fields and secrets of a connector configuration, as they are given on the command line.

use super::super::input;
use super::super::trouble::Trouble;
use crate::printer::page::{Page, Visible};
use clap::Args;
use client::types::{ConfigurationView, Connector, ConnectorField};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Longest secret in a file, in bytes.
const LONGEST_SECRET: u64 = 64 * 1024;

#[derive(Args)]
pub(in crate::cli) struct ValueArgs {
    /// Set a field; may be repeated. An empty VALUE takes it away
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// Ask for this secret
    #[arg(long, value_name = "FIELD")]
    ask: Vec<String>,
    /// Read this secret from the next line of stdin
    #[arg(long, value_name = "FIELD")]
    secret_stdin: Vec<String>,
    /// Read this secret from a file; a line end at its end is left out
    #[arg(long, value_name = "FIELD=FILE")]
    secret_file: Vec<String>,
    /// Take this secret away
    #[arg(long, value_name = "FIELD")]
    unset_secret: Vec<String>,
}

/// One field of a kind, whatever can be entered in it.
#[derive(Deserialize)]
struct Field {
    name: String,
    title: String,
    help: String,
    required: bool,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    value: String,
}

/// The fields of a kind. The generated type has a variant for each that can be entered, all with the same names.
fn fields_of(fields: &[ConnectorField]) -> Result<Vec<Field>, Trouble> {
    let read = |field| serde_json::to_value(field).and_then(Field::deserialize);
    fields
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(|error| client::Problem::NotUnderstood(format!("a field of a connector: {error}")).into())
}

/// Fields below each other, with what can be entered.
pub(super) fn field_table(fields: &[ConnectorField], page: &mut Page<'_>) -> io::Result<()> {
    let fields = fields_of(fields).map_err(|trouble| io::Error::other(trouble.failure.message))?;
    page.table(
        ["FIELD", "KIND", "REQUIRED", "TITLE", "ABOUT"],
        &[],
        fields.iter().map(|field| {
            let choices: Vec<&str> = field.choices.iter().map(|choice| choice.value.as_str()).collect();
            let kind = match choices.is_empty() {
                true => field.kind.clone(),
                false => choices.join("|"),
            };
            [
                Visible(&field.name).to_string(),
                Visible(kind).to_string(),
                if field.required { "yes" } else { "no" }.to_owned(),
                Visible(&field.title).to_string(),
                Visible(&field.help).to_string(),
            ]
        }),
    )
}

/// The two sides of `FIELD=VALUE`.
fn pair(text: &str) -> Result<(&str, &str), Trouble> {
    text.split_once('=')
        .filter(|(field, _)| !field.is_empty())
        .ok_or_else(|| Trouble::usage("field-and-value", format!("{text} is not FIELD=VALUE.")))
}

fn field<'f>(fields: &'f [Field], kind: &Connector, name: &str) -> Result<&'f Field, Trouble> {
    fields.iter().find(|field| field.name == name).ok_or_else(|| {
        Trouble::usage("field-unknown", format!("The connector {} has no field {name}.", kind.kind))
            .hint(format!("`lamina connector kinds {}` shows its fields.", kind.kind))
    })
}

impl ValueArgs {
    /// Whether nothing is given.
    pub(super) fn is_empty(&self) -> bool {
        let ValueArgs { set, ask, secret_stdin, secret_file, unset_secret } = self;
        [set, ask, secret_stdin, secret_file, unset_secret].iter().all(|given| given.is_empty())
    }

    /// The values that are given, each of its field's type; `null` takes one away.
    pub(super) fn fields(&self, kind: &Connector) -> Result<BTreeMap<String, Value>, Trouble> {
        let fields = fields_of(&kind.fields)?;
        let mut values = BTreeMap::new();
        for text in &self.set {
            let (name, value) = pair(text)?;
            let field = field(&fields, kind, name)?;
            values.insert(name.to_owned(), typed(field, value)?);
        }
        Ok(values)
    }

    /// The secrets that are given; those that are asked for are asked for now.
    pub(super) fn secrets(&self, kind: &Connector) -> Result<BTreeMap<String, Option<String>>, Trouble> {
        let fields = fields_of(&kind.fields)?;
        let secret = |name: &str| match field(&fields, kind, name)? {
            field if field.kind == "secret" => Ok(field),
            _ => Err(Trouble::usage("no-secret", format!("The field {name} is no secret."))
                .hint(format!("Use --set {name}=VALUE."))),
        };
        let mut secrets = BTreeMap::new();
        for name in &self.ask {
            let question = secret(name)?.title.clone();
            let instead = format!("--secret-stdin {name} or --secret-file {name}=FILE");
            secrets.insert(name.clone(), Some(input::secret(&question, &instead)?));
        }
        for name in &self.secret_stdin {
            secret(name)?;
            secrets.insert(name.clone(), Some(input::next_line(name)?));
        }
        for text in &self.secret_file {
            let (name, file) = pair(text)?;
            secret(name)?;
            let bytes = input::file(Path::new(file), LONGEST_SECRET)?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Trouble::here("file-unreadable", format!("{file} is no text in UTF-8.")))?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            secrets.insert(name.to_owned(), Some(text.strip_suffix('\r').unwrap_or(text).to_owned()));
        }
        for name in &self.unset_secret {
            secret(name)?;
            secrets.insert(name.clone(), None);
        }
        Ok(secrets)
    }
}

/// A value of the type of its field. The server checks it.
fn typed(field: &Field, text: &str) -> Result<Value, Trouble> {
    let name = &field.name;
    if text.is_empty() {
        return Ok(Value::Null);
    }
    match field.kind.as_str() {
        "number" => text.parse::<i64>().map(Value::from).map_err(|_| {
            Trouble::usage("no-number", format!("{name} is a whole number, and {text} is none."))
        }),
        "boolean" => match text {
            "true" | "yes" => Ok(Value::Bool(true)),
            "false" | "no" => Ok(Value::Bool(false)),
            _ => Err(Trouble::usage("no-boolean", format!("{name} is true or false, and not {text}."))),
        },
        "secret" => {
            Err(Trouble::usage("secret-as-argument", format!("{name} is a secret, which others could see."))
                .hint(format!("Use --ask {name}, --secret-stdin {name} or --secret-file {name}=FILE.")))
        }
        _ => Ok(Value::from(text)),
    }
}

/// The fields of a configuration with those that are given; what is `null` goes.
pub(super) fn merged(before: &ConfigurationView, given: BTreeMap<String, Value>) -> Map<String, Value> {
    let mut fields: Map<String, Value> =
        before.fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    fields.extend(given);
    fields.retain(|_, value| !value.is_null());
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(kind: &str) -> Field {
        let about = json!({ "name": "x", "title": "X", "help": "", "required": true, "type": kind });
        serde_json::from_value(about).unwrap()
    }

    #[test]
    fn values_have_the_types_of_their_fields() {
        assert_eq!(typed(&of("number"), "445").unwrap(), json!(445));
        assert_eq!(typed(&of("boolean"), "yes").unwrap(), json!(true));
        assert_eq!(typed(&of("text"), "445").unwrap(), json!("445"));
        assert_eq!(typed(&of("text"), "").unwrap(), Value::Null);
        assert!(typed(&of("number"), "many").is_err());
        assert!(typed(&of("boolean"), "maybe").is_err());
    }

    #[test]
    fn a_secret_is_no_argument() {
        let trouble = typed(&of("secret"), "hunter2").unwrap_err();
        assert_eq!(trouble.failure.code, "secret-as-argument");
        assert!(!trouble.failure.message.contains("hunter2"));
    }

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        assert_eq!(pair("filter=a=b").unwrap(), ("filter", "a=b"));
        assert!(pair("filter").is_err());
        assert!(pair("=b").is_err());
    }
}
