//! The columns of a table, for what treats all tables alike.

use super::{Db, DbError, Row, Statement};

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
}

/// What a column holds. There are no others, see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text, also identifiers and JSON.
    Text,
    /// Whole numbers, also times and amounts.
    Integer,
    /// Truth values.
    Boolean,
    /// Bytes.
    Bytes,
}

impl Db {
    /// The columns of a table, in their order.
    pub async fn columns(&self, table: &str) -> Result<Vec<Column>, DbError> {
        let sql = match self {
            Db::Sqlite { .. } => "SELECT name, lower(type) AS kind FROM pragma_table_info($1) ORDER BY cid",
            Db::Postgres(_) => {
                "SELECT CAST(column_name AS TEXT) AS name, CAST(data_type AS TEXT) AS kind \
                 FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
            }
        };
        let rows = self.all(Statement::new(sql).bind(table)).await?;
        rows.iter().map(column).collect()
    }
}

fn column(row: &Row) -> Result<Column, DbError> {
    let kind = match row.text("kind")?.as_str() {
        "text" => ColumnKind::Text,
        "bigint" => ColumnKind::Integer,
        "boolean" => ColumnKind::Boolean,
        "blob" | "bytea" => ColumnKind::Bytes,
        _ => return Err(DbError::Foreign { column: "type" }),
    };
    Ok(Column { name: row.text("name")?, kind })
}
