//! Reading rows inside and outside of a change with the same functions.

use super::{Change, Refusal};
use crate::db::{Db, Row, Statement, Value};
use std::fmt::{Display, Write};

/// Identifiers that one statement takes; more are asked for in several.
const AT_ONCE: usize = 500;

/// What rows are read from: the database, or a change, which sees what it has changed.
pub(crate) trait Rows: Send {
    /// Reads all rows of a statement.
    fn all(&mut self, statement: Statement<'_>) -> impl Future<Output = Result<Vec<Row>, Refusal>> + Send;

    /// Reads the first row, if there is one.
    fn optional(
        &mut self,
        statement: Statement<'_>,
    ) -> impl Future<Output = Result<Option<Row>, Refusal>> + Send;
}

impl Rows for &Db {
    async fn all(&mut self, statement: Statement<'_>) -> Result<Vec<Row>, Refusal> {
        Ok(Db::all(self, statement).await?)
    }

    async fn optional(&mut self, statement: Statement<'_>) -> Result<Option<Row>, Refusal> {
        Ok(Db::optional(self, statement).await?)
    }
}

impl Rows for Change<'_> {
    async fn all(&mut self, statement: Statement<'_>) -> Result<Vec<Row>, Refusal> {
        Change::all(self, statement).await
    }

    async fn optional(&mut self, statement: Statement<'_>) -> Result<Option<Row>, Refusal> {
        Change::optional(self, statement).await
    }
}

/// Reads the rows of `sql` for many identifiers, which it takes as a list in place of `?`.
pub(super) async fn for_each_of<I: Display + Sync>(
    rows: &mut impl Rows,
    sql: &'static str,
    ids: &[I],
) -> Result<Vec<Row>, Refusal> {
    let mut found = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let mut list = String::new();
        for number in 1..=some.len() {
            let comma = if number == 1 { "" } else { ", " };
            // Writing to a text does not fail.
            _ = write!(list, "{comma}${number}");
        }
        let statement = Statement::assembled(sql.replace('?', &list));
        found.extend(rows.all(statement.bind_all(some.iter().map(|id| Value::from(id.to_string())))).await?);
    }
    Ok(found)
}
