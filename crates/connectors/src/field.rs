//! The fields of a connector configuration: what forms are drawn from, and the one place where values are checked.

use regex::Regex;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What was entered, by field name. An absent field, `null` and empty text mean the same: not given.
pub type Values = BTreeMap<String, Value>;

/// Secrets by field name, kept apart from [`Values`] because they are stored, shown and logged differently.
#[derive(Debug, Clone, Default)]
pub struct Secrets(BTreeMap<String, SecretString>);

impl Secrets {
    /// No secrets.
    pub fn new() -> Secrets {
        Secrets::default()
    }

    /// These secrets and one more.
    #[must_use]
    pub fn with(mut self, field: &str, secret: impl Into<String>) -> Secrets {
        self.0.insert(field.to_owned(), SecretString::from(secret.into()));
        self
    }
}

/// One field of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ConnectorField))]
pub struct Field {
    /// The key among the values, or among the secrets.
    pub name: &'static str,
    /// What a form writes beside it.
    pub title: &'static str,
    /// One or two sentences on what to enter.
    pub help: &'static str,
    /// What can be entered.
    #[serde(flatten)]
    pub kind: FieldType,
    /// Whether a value is needed, where the field applies and has no default.
    pub required: bool,
    /// Taken when nothing is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The field applies, and a form shows it, only when another one has a certain value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_when: Option<Condition>,
}

impl Field {
    /// What stands in the field: the value that was given, else the default.
    pub fn value<'v>(&'v self, values: &'v Values) -> Option<&'v Value> {
        given(values.get(self.name)).or(self.default.as_ref())
    }
}

/// What can be entered in a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ConnectorFieldType))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FieldType {
    /// One line of text.
    Text {
        /// Longest text, characters.
        most_chars: u32,
        /// A regular expression that the whole text matches, in the syntax that Rust's `regex` and browsers share.
        #[serde(skip_serializing_if = "Option::is_none")]
        pattern: Option<&'static str>,
    },
    /// Text that is never shown again.
    Secret {
        /// Longest text, characters.
        most_chars: u32,
    },
    /// A whole number.
    Number {
        /// Smallest.
        least: i64,
        /// Largest.
        most: i64,
    },
    /// Yes or no.
    Boolean,
    /// One of a fixed list.
    Choice {
        /// The list, in the order in which it is offered.
        choices: Vec<Choice>,
    },
    /// An absolute path on the machine that the server runs on.
    Path,
    /// One of a list that the connector gives when it is browsed; also typed by hand.
    Browse {
        /// Longest text, characters.
        most_chars: u32,
    },
}

/// One value of a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ConnectorChoice))]
pub struct Choice {
    /// What is stored.
    pub value: &'static str,
    /// What is shown.
    pub title: &'static str,
}

/// Another field and the value that it must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ConnectorCondition))]
pub struct Condition {
    /// Name of the other field.
    pub field: &'static str,
    /// Its value.
    pub is: &'static str,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Name of the field.
    pub field: String,
    /// Stable code such as `field-required`.
    pub code: String,
    /// What is wrong, as a sentence without the field's name.
    pub message: String,
}

impl FieldError {
    /// An error about a field.
    pub fn new(field: &str, code: &str, message: impl Into<String>) -> FieldError {
        FieldError { field: field.chars().take(80).collect(), code: code.to_owned(), message: message.into() }
    }
}

/// Longest path that is accepted, bytes: Linux's `PATH_MAX`.
const MOST_PATH_BYTES: usize = 4096;

/// Values that were checked, with defaults put in.
#[derive(Debug)]
pub(crate) struct Checked {
    values: BTreeMap<&'static str, Value>,
    secrets: BTreeMap<&'static str, SecretString>,
}

impl Checked {
    /// The text of a field, if it applies and was given.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.values.get(field).and_then(Value::as_str)
    }

    /// The number in a field, if it applies and was given.
    pub(crate) fn number(&self, field: &str) -> Option<i64> {
        self.values.get(field).and_then(Value::as_i64)
    }

    /// A secret, if it applies and was given.
    pub(crate) fn secret(&self, field: &str) -> Option<&SecretString> {
        self.secrets.get(field)
    }
}

/// Checks what was entered against the fields of a kind; gives everything that is wrong, not the first of it.
pub(crate) fn check(
    fields: &[Field],
    values: &Values,
    secrets: &Secrets,
) -> Result<Checked, Vec<FieldError>> {
    let mut errors = unknown(fields, values, secrets);
    let mut checked = Checked { values: BTreeMap::new(), secrets: BTreeMap::new() };
    for field in fields {
        let applies = field.only_when.as_ref().is_none_or(|condition| {
            let other = fields.iter().find(|other| other.name == condition.field);
            other.and_then(|other| other.value(values)).and_then(Value::as_str) == Some(condition.is)
        });
        if let FieldType::Secret { most_chars } = field.kind {
            let secret = secrets.0.get(field.name).filter(|secret| !secret.expose_secret().is_empty());
            match secret {
                Some(_) if !applies => errors.push(not_applicable(field)),
                Some(secret) if secret.expose_secret().chars().count() > most_chars as usize => {
                    errors.push(FieldError::new(field.name, "field-too-long", too_long(most_chars)));
                }
                Some(secret) => {
                    checked.secrets.insert(field.name, secret.clone());
                }
                None if applies && field.required => errors.push(required(field)),
                None => {}
            }
            continue;
        }
        match given(values.get(field.name)) {
            Some(_) if !applies => errors.push(not_applicable(field)),
            Some(value) => match defect(&field.kind, value) {
                None => {
                    checked.values.insert(field.name, value.clone());
                }
                Some((code, message)) => errors.push(FieldError::new(field.name, code, message)),
            },
            None if !applies => {}
            None => match &field.default {
                Some(default) => {
                    checked.values.insert(field.name, default.clone());
                }
                None if field.required => errors.push(required(field)),
                None => {}
            },
        }
    }
    if errors.is_empty() { Ok(checked) } else { Err(errors) }
}

/// Names that no field has, or that are in the wrong one of the two maps.
fn unknown(fields: &[Field], values: &Values, secrets: &Secrets) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let is_secret = |name: &str| {
        fields
            .iter()
            .find(|field| field.name == name)
            .map(|field| matches!(field.kind, FieldType::Secret { .. }))
    };
    let names = values.keys().map(|name| (name, false)).chain(secrets.0.keys().map(|name| (name, true)));
    for (name, as_secret) in names {
        match is_secret(name) {
            None => errors.push(FieldError::new(name, "field-unknown", "there is no such field")),
            Some(secret) if secret != as_secret => {
                let message =
                    if secret { "this is a secret and has to be sent as one" } else { "this is no secret" };
                errors.push(FieldError::new(name, "field-secrecy", message));
            }
            Some(_) => {}
        }
    }
    errors
}

fn given(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null() && value.as_str() != Some(""))
}

fn required(field: &Field) -> FieldError {
    FieldError::new(field.name, "field-required", format!("{} is needed", field.title))
}

fn not_applicable(field: &Field) -> FieldError {
    let message = match &field.only_when {
        Some(condition) => format!("this is only used when {} is {}", condition.field, condition.is),
        None => "this is not used".to_owned(),
    };
    FieldError::new(field.name, "field-not-applicable", message)
}

fn too_long(most: u32) -> String {
    format!("this is longer than {most} characters")
}

/// The code and message of what is wrong with a value.
fn defect(kind: &FieldType, value: &Value) -> Option<(&'static str, String)> {
    let wrong_type = |what: &str| Some(("field-type", format!("this has to be {what}")));
    match kind {
        FieldType::Boolean => {
            if value.is_boolean() {
                None
            } else {
                wrong_type("yes or no")
            }
        }
        FieldType::Number { least, most } => match value.as_i64() {
            None => wrong_type("a whole number"),
            Some(number) if (*least..=*most).contains(&number) => None,
            Some(_) => Some(("field-range", format!("this has to be between {least} and {most}"))),
        },
        FieldType::Choice { choices } => match value.as_str() {
            Some(text) if choices.iter().any(|choice| choice.value == text) => None,
            _ => {
                let all: Vec<&str> = choices.iter().map(|choice| choice.value).collect();
                Some(("field-choice", format!("this has to be one of {}", all.join(", "))))
            }
        },
        FieldType::Path => match value.as_str() {
            None => wrong_type("text"),
            Some(text) => path_defect(text).map(|message| ("field-path", message.to_owned())),
        },
        FieldType::Text { most_chars, .. }
        | FieldType::Browse { most_chars }
        | FieldType::Secret { most_chars } => {
            let Some(text) = value.as_str() else { return wrong_type("text") };
            if text.chars().count() > *most_chars as usize {
                return Some(("field-too-long", too_long(*most_chars)));
            }
            if text.chars().any(char::is_control) || text.trim() != text {
                let message = "this has control characters, or space at its beginning or end";
                return Some(("field-characters", message.to_owned()));
            }
            match kind {
                FieldType::Text { pattern: Some(pattern), .. } if !matches(pattern, text) => {
                    Some(("field-pattern", "this is not of the expected form; see the help".to_owned()))
                }
                _ => None,
            }
        }
    }
}

fn path_defect(text: &str) -> Option<&'static str> {
    if !text.starts_with('/') {
        return Some("this has to be an absolute path");
    }
    if text.len() > MOST_PATH_BYTES || text.contains('\0') {
        return Some("this is no path");
    }
    text.split('/').any(|part| part == "..").then_some("the path must not have `..` in it")
}

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$"))
        .expect("patterns of fields are constants, and a test builds each")
        .is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields() -> Vec<Field> {
        let plain = |name, kind, required, default| Field {
            name,
            title: name,
            help: "",
            kind,
            required,
            default,
            only_when: None,
        };
        let choices = vec![Choice { value: "a", title: "A" }, Choice { value: "b", title: "B" }];
        let mut port = plain("port", FieldType::Number { least: 1, most: 65535 }, false, Some(json!(445)));
        port.only_when = Some(Condition { field: "way", is: "b" });
        let mut password = plain("password", FieldType::Secret { most_chars: 8 }, true, None);
        password.only_when = port.only_when.clone();
        vec![
            plain("way", FieldType::Choice { choices }, true, Some(json!("a"))),
            port,
            password,
            plain("host", FieldType::Text { most_chars: 10, pattern: Some("[a-z.]+") }, true, None),
            plain("path", FieldType::Path, false, None),
            plain("quick", FieldType::Boolean, false, None),
        ]
    }

    fn values(value: Value) -> Values {
        serde_json::from_value(value).unwrap()
    }

    fn codes(value: Value, secrets: &Secrets) -> Vec<String> {
        let errors = check(&fields(), &values(value), secrets).expect_err("something is wrong");
        errors.into_iter().map(|error| format!("{}: {}", error.field, error.code)).collect()
    }

    #[test]
    fn defaults_are_put_in_where_a_field_applies() {
        let checked = check(&fields(), &values(json!({"host": "nas"})), &Secrets::new()).unwrap();
        assert_eq!((checked.text("way"), checked.number("port")), (Some("a"), None));
        let secrets = Secrets::new().with("password", "pw");
        let checked =
            check(&fields(), &values(json!({"host": "nas", "way": "b", "port": null})), &secrets).unwrap();
        assert_eq!(checked.number("port"), Some(445));
        assert_eq!(checked.secret("password").unwrap().expose_secret(), "pw");
        assert!(!format!("{checked:?}{secrets:?}").contains("pw\""), "secrets do not show");
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let found = codes(
            json!({"way": "b", "port": 0, "host": "NAS", "path": "x", "quick": "yes", "colour": "red"}),
            &Secrets::new(),
        );
        let expected = [
            "colour: field-unknown",
            "port: field-range",
            "password: field-required",
            "host: field-pattern",
            "path: field-path",
            "quick: field-type",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_secret_among_the_values_and_a_value_for_a_field_that_does_not_apply_are_refused() {
        let secrets = Secrets::new().with("host", "nas");
        assert_eq!(
            codes(json!({"password": "x"}), &secrets),
            ["password: field-secrecy", "host: field-secrecy", "host: field-required"]
        );
        assert_eq!(codes(json!({"host": "nas", "port": 1}), &Secrets::new()), ["port: field-not-applicable"]);
        assert_eq!(codes(json!({"host": ""}), &Secrets::new()), ["host: field-required"]);
    }

    #[test]
    fn text_is_bounded_and_has_no_control_characters() {
        assert_eq!(codes(json!({"host": "aaaaaaaaaaa"}), &Secrets::new()), ["host: field-too-long"]);
        assert_eq!(codes(json!({"host": "a\nb"}), &Secrets::new()), ["host: field-characters"]);
        assert_eq!(codes(json!({"host": ["a"]}), &Secrets::new()), ["host: field-type"]);
        let path = json!({"host": "nas", "path": "/a/../etc"});
        assert_eq!(codes(path, &Secrets::new()), ["path: field-path"]);
    }
}
