//! What is wrong with what was sent, field by field.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Which: its name, with dots and indices inside structures, such as `layers[2].version`.
    #[schema(example = "name")]
    pub field: String,
    /// A stable code.
    #[schema(example = "name-too-long")]
    pub code: String,
    /// The sentence for people.
    pub message: String,
}

/// Collects what is wrong, so that a person hears of everything at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invalid {
    errors: Vec<FieldError>,
}

impl Invalid {
    /// Nothing is wrong yet.
    pub fn new() -> Invalid {
        Invalid::default()
    }

    /// One thing is wrong.
    pub fn field(field: &str, code: &str, message: impl Into<String>) -> Invalid {
        let mut invalid = Invalid::new();
        invalid.add(field, code, message);
        invalid
    }

    /// Adds a complaint.
    pub fn add(&mut self, field: &str, code: &str, message: impl Into<String>) {
        self.errors.push(FieldError {
            field: field.to_owned(),
            code: code.to_owned(),
            message: message.into(),
        });
    }

    /// Takes the value, or the complaints and gives nothing.
    pub fn take<T>(&mut self, result: Result<T, Invalid>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.errors.extend(invalid.errors);
                None
            }
        }
    }

    /// `Ok` when nothing was wrong.
    pub fn finish(self) -> Result<(), Invalid> {
        if self.errors.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The complaints.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The complaints, to keep.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }
}
