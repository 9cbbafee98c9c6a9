//! A statement with its parameters, and how it is handed to either database.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};
use std::borrow::Cow;

/// A parameter. A missing value keeps its type, which PostgreSQL asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text, also identifiers and JSON.
    Text(Option<String>),
    /// A whole number, also times (milliseconds since 1970) and amounts (bytes).
    Integer(Option<i64>),
    /// A truth value.
    Boolean(Option<bool>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Value {
        Value::Text(text)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Value {
        Value::Text(text.map(str::to_owned))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Value {
        Value::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Boolean(Some(truth))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bytes(Some(bytes))
    }
}

/// SQL and its parameters, in the order of their numbers.
#[derive(Debug, Clone)]
pub struct Statement<'a> {
    sql: Cow<'a, str>,
    values: Vec<Value>,
}

impl<'a> Statement<'a> {
    /// A statement whose text is in the program. Data goes into parameters, never into the text.
    pub fn new(sql: &'static str) -> Statement<'static> {
        Statement { sql: Cow::Borrowed(sql), values: Vec::new() }
    }

    /// A statement put together from pieces that are all in the program, such as a list's order and conditions.
    pub fn assembled(sql: String) -> Statement<'a> {
        Statement { sql: Cow::Owned(sql), values: Vec::new() }
    }

    /// Adds the next parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Adds the next parameters.
    #[must_use]
    pub fn bind_all(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.values.extend(values);
        self
    }
}

/// What a query needs to own while it runs.
pub(super) struct Bound {
    sql: String,
    values: Vec<Value>,
}

impl Statement<'_> {
    pub(super) fn bound(self) -> Bound {
        Bound { sql: self.sql.into_owned(), values: self.values }
    }
}

/// Makes the query of one database; the types differ, what is done does not.
macro_rules! query {
    ($name:ident, $database:ty, $arguments:ty) => {
        pub(super) fn $name(self) -> Query<'static, $database, $arguments> {
            let mut query = sqlx::query(AssertSqlSafe(self.sql));
            for value in self.values {
                query = match value {
                    Value::Text(text) => query.bind(text),
                    Value::Integer(number) => query.bind(number),
                    Value::Boolean(truth) => query.bind(truth),
                    Value::Bytes(bytes) => query.bind(bytes),
                };
            }
            query
        }
    };
}

impl Bound {
    query!(sqlite, Sqlite, SqliteArguments);
    query!(postgres, Postgres, PgArguments);
}
