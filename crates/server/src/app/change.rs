//! A change: one transaction that leaves a row in the audit history.

use super::{App, Call, Reason, Refusal};
use crate::db::{Db, Row, Statement, Tx};
use crate::domain::{Action, AuditId, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// A change under way. Dropped before it is committed it has never been.
#[derive(Debug)]
pub struct Change<'c> {
    tx: Tx,
    call: &'c Call,
    now: Time,
    audited: bool,
    idempotency: Option<(String, String)>,
    wake: Option<Arc<Notify>>,
}

/// How a creating call begins.
#[derive(Debug)]
pub enum Begun<'c, T> {
    /// It was made before under the same key; this was the answer.
    Before(T),
    /// It is made now.
    Now(Change<'c>),
}

impl App {
    /// Begins a change.
    pub async fn begin<'c>(&self, call: &'c Call) -> Result<Change<'c>, Refusal> {
        Change::begin(&self.db, self.clock.now(), call).await
    }

    /// Begins a change that creates something, which is done once for each key that the caller chooses.
    pub async fn begin_creating<'c, T: DeserializeOwned>(
        &self,
        call: &'c Call,
        action: Action,
        request: &impl Serialize,
    ) -> Result<Begun<'c, T>, Refusal> {
        let mut change = self.begin(call).await?;
        let Some(key) = &call.idempotency_key else {
            return Ok(Begun::Now(change));
        };
        let user = call.user()?;
        let asked = Zeroizing::new(serde_json::to_vec(&(action.name(), request)).map_err(Refusal::internal)?);
        // Keyed, because what is asked may hold a password that a fast digest would let one guess.
        let digest = self.key.digest(&asked);
        let before = change
            .optional(
                Statement::new("SELECT request, answer FROM idempotency WHERE user_id = $1 AND key = $2")
                    .bind(user.to_string())
                    .bind(key.as_str()),
            )
            .await?;
        match before {
            None => {
                change.idempotency = Some((key.clone(), digest));
                Ok(Begun::Now(change))
            }
            Some(row) if row.text("request")? == digest => Ok(Begun::Before(row.json("answer")?)),
            Some(_) => Err(Refusal::new(
                Reason::Conflict,
                "idempotency-key-reused",
                "This Idempotency-Key was used for another request.",
            )
            .hint("Choose a new key for every new request.")),
        }
    }
}

impl<'c> Change<'c> {
    /// Begins a change of a database at this time.
    pub(super) async fn begin(db: &Db, now: Time, call: &'c Call) -> Result<Change<'c>, Refusal> {
        let tx = db.begin_change().await?;
        Ok(Change { tx, call, now, audited: false, idempotency: None, wake: None })
    }
}

impl Change<'_> {
    /// The time at which everything of this change happens.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Changes rows and gives their number.
    pub async fn execute(&mut self, statement: Statement<'_>) -> Result<u64, Refusal> {
        Ok(self.tx.execute(statement).await?)
    }

    /// Reads rows, seeing what was changed.
    pub async fn all(&mut self, statement: Statement<'_>) -> Result<Vec<Row>, Refusal> {
        Ok(self.tx.all(statement).await?)
    }

    /// Reads the first row, if there is one.
    pub async fn optional(&mut self, statement: Statement<'_>) -> Result<Option<Row>, Refusal> {
        Ok(self.tx.optional(statement).await?)
    }

    /// Writes what is done into the audit history. `detail` holds what changed, never a secret.
    pub async fn audit(
        &mut self,
        action: Action,
        object: Object<'_>,
        detail: &impl Serialize,
    ) -> Result<(), Refusal> {
        self.audit_touching(action, object, &[], detail).await
    }

    /// The same for what is done to other objects as well: kinds and identifiers, from which it is found too.
    pub async fn audit_touching(
        &mut self,
        action: Action,
        object: Object<'_>,
        also: &[(&str, String)],
        detail: &impl Serialize,
    ) -> Result<(), Refusal> {
        self.write_audit(action.name(), object, also, detail).await
    }

    /// Writes into the audit history that log-ins failed, which is no action: nothing was done.
    pub(super) async fn audit_failed_log_in(
        &mut self,
        object: Object<'_>,
        detail: &impl Serialize,
    ) -> Result<(), Refusal> {
        self.write_audit("log_in_failed", object, &[], detail).await
    }

    async fn write_audit(
        &mut self,
        what: &str,
        object: Object<'_>,
        also: &[(&str, String)],
        detail: &impl Serialize,
    ) -> Result<(), Refusal> {
        let id = AuditId::new().to_string();
        let detail = serde_json::to_string(detail).map_err(Refusal::internal)?;
        let actor = &self.call.actor;
        let statement = Statement::new(
            "INSERT INTO audit (id, at, actor_id, actor_name, address, request_id, action, object_kind, \
             object_id, object_name, comment, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(id.as_str())
        .bind(self.now.millis())
        .bind(actor.user.map(|user| user.to_string()))
        .bind(actor.name.as_str())
        .bind(self.call.address.as_str())
        .bind(self.call.request.as_deref())
        .bind(what)
        .bind(object.kind)
        .bind(object.id)
        .bind(object.name)
        .bind(self.call.comment.as_str())
        .bind(detail);
        self.execute(statement).await?;
        let objects: BTreeSet<(&str, &str)> =
            also.iter().map(|(kind, id)| (*kind, id.as_str())).chain([(object.kind, object.id)]).collect();
        for (object_kind, object_id) in objects {
            let statement = Statement::new(
                "INSERT INTO audit_objects (audit_id, object_kind, object_id) VALUES ($1, $2, $3)",
            )
            .bind(id.as_str())
            .bind(object_kind)
            .bind(object_id);
            self.execute(statement).await?;
        }
        self.audited = true;
        Ok(())
    }

    /// Makes the change last.
    pub async fn commit(self) -> Result<(), Refusal> {
        if !self.audited {
            return Err(Refusal::internal("a change would have left no row in the audit history"));
        }
        self.tx.commit().await?;
        if let Some(wake) = self.wake {
            wake.notify_one();
        }
        Ok(())
    }

    /// Wakes who carries out tasks once the change has been made.
    pub(super) fn wake(&mut self, wake: Arc<Notify>) {
        self.wake = Some(wake);
    }

    /// Who asks for the change.
    pub(super) fn call(&self) -> &Call {
        self.call
    }

    /// Keeps the answer for who asks again under the same key. It holds no secret.
    pub async fn remember(&mut self, answer: &impl Serialize) -> Result<(), Refusal> {
        let Some((key, request)) = self.idempotency.take() else {
            return Ok(());
        };
        let user = self.call.user()?.to_string();
        let text = serde_json::to_string(answer).map_err(Refusal::internal)?;
        let statement = Statement::new(
            "INSERT INTO idempotency (user_id, key, request, answer, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(user)
        .bind(key)
        .bind(request)
        .bind(text)
        .bind(self.now.millis());
        self.execute(statement).await?;
        Ok(())
    }
}

/// What something was done to.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    /// Its kind, such as `user`.
    pub kind: &'static str,
    /// Its identifier.
    pub id: &'a str,
    /// Its name at this time.
    pub name: &'a str,
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
