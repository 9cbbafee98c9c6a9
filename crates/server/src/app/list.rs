//! Lists by page: what may be sorted and filtered, and a cursor that stays right while rows come and go.
//!
//! A cursor holds the sort value and the identifier of the last row that was given; the next page is what lies behind
//! them. So a page costs the same wherever it lies, and a row that is added or removed before it moves nothing.

use super::Refusal;
use crate::db::{Row, Statement, Value};
use crate::domain::Invalid;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Rows of a page when the caller does not say.
const USUAL: u32 = 50;
/// Most rows of a page.
const MOST: u32 = 200;

/// Which page of a list.
#[derive(Debug, Clone, Default)]
pub struct PageQuery {
    /// Most items to give, 1 to 200; 50 when not said.
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// What to sort by; with `-` in front descending.
    pub sort: Option<String>,
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Cursor of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A column that a list can be sorted by. It is never empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sort {
    /// As callers name it.
    pub(crate) name: &'static str,
    /// The column.
    pub(crate) column: &'static str,
    /// Whether the column holds numbers; otherwise text.
    pub(crate) number: bool,
}

/// What can be listed and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing {
    /// `SELECT … FROM …`, with every column that a row needs, the sort columns among them.
    pub(crate) select: &'static str,
    /// The identifier's column, which decides between equal sort values.
    pub(crate) id: &'static str,
    /// The first is used when the caller does not say.
    pub(crate) sorts: &'static [Sort],
    /// Whether the first is used descending then.
    pub(crate) newest_first: bool,
}

/// Conditions that rows must meet, with their parameters.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    texts: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// No condition.
    pub(crate) fn new() -> Conditions {
        Conditions::default()
    }

    /// Adds a condition in which `?` stands for the value, once or several times.
    pub(crate) fn add(&mut self, text: &'static str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.texts.push(text.replace('?', &format!("${}", self.values.len())));
    }

    /// Adds a condition in which each `?` stands for the next value.
    pub(crate) fn add_each(&mut self, text: &str, values: impl IntoIterator<Item = Value>) {
        let mut parts = text.split('?');
        let mut assembled = parts.next().unwrap_or_default().to_owned();
        for (value, part) in values.into_iter().zip(parts) {
            self.values.push(value);
            assembled.push_str(&format!("${}{part}", self.values.len()));
        }
        self.texts.push(assembled);
    }

    /// Adds a search for `text` in a column of compared names: it may stand anywhere.
    pub(crate) fn search(&mut self, column: &'static str, text: &str) {
        let mut pattern = String::from("%");
        for c in crate::domain::name::key(text).chars() {
            if matches!(c, '%' | '_' | '!') {
                pattern.push('!');
            }
            pattern.push(c);
        }
        pattern.push('%');
        self.values.push(pattern.into());
        self.texts.push(format!("{column} LIKE ${} ESCAPE '!'", self.values.len()));
    }
}

/// What a cursor says. The sort is in it so that a cursor of another order is refused instead of misread.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    s: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    t: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<i64>,
    i: String,
}

/// A page that was asked for, checked.
#[derive(Debug)]
pub(crate) struct Asked {
    limit: usize,
    sort: Sort,
    sort_text: String,
    id: &'static str,
}

impl Listing {
    /// The statement that reads a page, one row longer than the page so that one knows of a next.
    pub(crate) fn page(
        &self,
        query: &PageQuery,
        mut conditions: Conditions,
    ) -> Result<(Statement<'static>, Asked), Refusal> {
        let mut invalid = Invalid::new();
        let limit = query.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            invalid.add("limit", "limit-range", format!("A page has 1 to {MOST} items."));
        }
        let usual = self.sorts[0];
        let default = if self.newest_first { format!("-{}", usual.name) } else { usual.name.to_owned() };
        let sort_text = query.sort.clone().unwrap_or(default);
        let (descending, name) = match sort_text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, sort_text.as_str()),
        };
        let sort = self.sorts.iter().copied().find(|sort| sort.name == name);
        if sort.is_none() {
            let names: Vec<&str> = self.sorts.iter().map(|sort| sort.name).collect();
            invalid.add("sort", "sort-unknown", format!("This list is sorted by {}.", names.join(", ")));
        }
        let cursor = query.cursor.as_deref().map(|text| read_cursor(text, &sort_text, sort));
        if matches!(cursor, Some(None)) {
            invalid.add(
                "cursor",
                "cursor-unreadable",
                "This cursor is not of this list in this order. Start again without one.",
            );
        }
        invalid.finish()?;
        let sort = sort.unwrap_or(usual);

        if let Some(Some((value, id))) = cursor {
            let (column, id_column) = (sort.column, self.id);
            conditions.values.push(value);
            let at = conditions.values.len();
            conditions.values.push(id.into());
            let than = if descending { "<" } else { ">" };
            conditions.texts.push(format!("({column}, {id_column}) {than} (${at}, ${})", at + 1));
        }
        let mut sql = self.select.to_owned();
        if !conditions.texts.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&conditions.texts.join(" AND "));
        }
        let direction = if descending { "DESC" } else { "ASC" };
        sql.push_str(&format!(
            " ORDER BY {} {direction}, {} {direction} LIMIT {}",
            sort.column,
            self.id,
            limit + 1
        ));
        let asked = Asked { limit: limit as usize, sort, sort_text, id: self.id };
        Ok((Statement::assembled(sql).bind_all(conditions.values), asked))
    }
}

fn read_cursor(text: &str, sort_text: &str, sort: Option<Sort>) -> Option<(Value, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let cursor: Cursor = serde_json::from_slice(&bytes).ok()?;
    let has_nul = |text: &String| text.contains('\0');
    if cursor.s != sort_text || cursor.t.as_ref().is_some_and(has_nul) || has_nul(&cursor.i) {
        return None;
    }
    let value = match (sort?.number, cursor.t, cursor.n) {
        (true, None, Some(number)) => Value::from(number),
        (false, Some(text), None) => Value::from(text),
        _ => return None,
    };
    Some((value, cursor.i))
}

/// The column's name without that of its table.
fn plain(column: &str) -> &str {
    column.rsplit('.').next().unwrap_or(column)
}

impl Asked {
    /// Makes the page of the rows that were read.
    pub(crate) fn answer<T>(
        &self,
        mut rows: Vec<Row>,
        item: impl Fn(&Row) -> Result<T, Refusal>,
    ) -> Result<Page<T>, Refusal> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = match rows.last() {
            Some(last) if more => {
                let column = plain(self.sort.column);
                let (t, n) = if self.sort.number {
                    (None, Some(last.integer(column)?))
                } else {
                    (Some(last.text(column)?), None)
                };
                let cursor = Cursor { s: self.sort_text.clone(), t, n, i: last.text(plain(self.id))? };
                Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).map_err(Refusal::internal)?))
            }
            _ => None,
        };
        Ok(Page { items: rows.iter().map(item).collect::<Result<_, _>>()?, next })
    }
}
