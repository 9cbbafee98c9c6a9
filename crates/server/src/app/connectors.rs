//! Connectors: which kinds there are, and asking one before or after its values are saved.
//!
//! What is asked here looks and changes nothing that people see. It is done within a time limit, a few at a time, and to
//! its end even when the caller has gone: a connector that is dropped in between leaves files open on its platform.

pub use super::configuration_values::{ConnectorValues, SecretChanges};
use super::configuration_values::{Saved, Settled};
use super::{App, Call, Reason, Refusal};
use crate::domain::{Action, ConfigurationId, Invalid};
use connectors::{Browse, Connector, Description, DiskName, Listing, Outcome, Trial};
use operation::Explain;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

/// Longest time for an answer of a connector. Less than the API gives itself.
const LONGEST: Duration = Duration::from_secs(45);
/// The kind of connector that can be the file share.
const FILE_SHARE: &str = "fileshare";
/// Connectors that are asked at a time.
const AT_A_TIME: usize = 16;
/// Entries of a page when the caller does not say.
const USUAL: u32 = 50;
/// Most entries of a page.
const MOST: u32 = 200;

/// What came of trying everything that a connector needs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TestReport {
    /// Whether nothing failed.
    pub passed: bool,
    /// What was tried, in order.
    pub trials: Vec<Trial>,
}

/// What to list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectorBrowse {
    /// One of what the connector can list (`browses`): `disks`, or the name of a field.
    pub what: String,
    /// The folder to list; absent: the outermost level.
    pub folder: Option<String>,
    /// Only names that begin with this, without regard to ASCII case.
    #[serde(default)]
    pub prefix: String,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// Most entries to give, 1 to 200; 50 when not said.
    #[schema(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The values that the connector is asked with.
    #[serde(default)]
    pub values: ConnectorValues,
}

/// Where a question goes.
#[derive(Debug, Clone)]
pub enum Place {
    /// To a place of this kind that is not saved.
    New(String),
    /// To a configuration, with the values that are sent over those that are saved.
    Saved(ConfigurationId),
}

/// Keeps count of the connectors that are asked.
#[derive(Debug, Clone)]
pub(super) struct Places {
    turns: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new() -> Places {
        Places { turns: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// What a connector answers, to its end or to the time limit.
    async fn ask<T, F>(
        &self,
        connector: Arc<dyn Connector>,
        question: impl FnOnce(Arc<dyn Connector>) -> F,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let turn = self.turns.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{AT_A_TIME} connectors are being asked already.");
            Refusal::new(Reason::TooMany { retry_after: 10 }, "connectors-busy", message)
                .hint("Wait until they have answered.")
        })?;
        let answer = question(connector);
        let asked = tokio::spawn(async move {
            let _turn = turn;
            tokio::time::timeout(LONGEST, answer).await
        });
        asked.await.map_err(Refusal::internal)?.map_err(|_| {
            let message = format!("The connector did not answer within {} seconds.", LONGEST.as_secs());
            Refusal::new(Reason::Conflict, "connector-slow", message)
                .hint("See whether the platform is overloaded, or its address one where nothing answers.")
        })
    }
}

impl App {
    /// The kinds of connectors.
    pub async fn connectors(&self, call: &Call) -> Result<Vec<Description>, Refusal> {
        call.may(Action::ListConnectors)?;
        Ok(self.kinds.kinds().iter().map(|kind| kind.describe()).collect())
    }

    /// One kind of connector.
    pub async fn connector(&self, call: &Call, name: &str) -> Result<Description, Refusal> {
        call.may(Action::GetConnector)?;
        let kind = self.kinds.kind(name).ok_or_else(|| Refusal::missing("connector", name))?;
        Ok(kind.describe())
    }

    /// Sees whether the platform can be reached and accepts the credentials.
    pub async fn check_credentials(
        &self,
        call: &Call,
        place: &Place,
        values: &ConnectorValues,
    ) -> Result<(), Refusal> {
        call.may(match place {
            Place::New(_) => Action::CheckCredentials,
            Place::Saved(_) => Action::CheckConfiguration,
        })?;
        let connector = self.settle_at(place, values, call.is_administrator()).await?.connect()?;
        let ask = |connector: Arc<dyn Connector>| async move { connector.check_credentials().await };
        self.places.ask(connector, ask).await?.map_err(|error| failed(&error))
    }

    /// Tries everything that a connector needs. What failed is in the report.
    pub async fn test_connector(
        &self,
        call: &Call,
        place: &Place,
        values: &ConnectorValues,
    ) -> Result<TestReport, Refusal> {
        call.may(match place {
            Place::New(_) => Action::TestConnector,
            Place::Saved(_) => Action::TestConfiguration,
        })?;
        self.test(&self.settle_at(place, values, call.is_administrator()).await?).await
    }

    /// Lists what can be chosen on a platform.
    pub async fn browse_connector(
        &self,
        call: &Call,
        place: &Place,
        asked: &ConnectorBrowse,
    ) -> Result<Listing, Refusal> {
        call.may(match place {
            Place::New(_) => Action::BrowseConnector,
            Place::Saved(_) => Action::BrowseConfiguration,
        })?;
        let mut invalid = Invalid::new();
        let folder = asked.folder.as_deref().and_then(|folder| {
            let name: Result<DiskName, _> = folder.parse();
            invalid.take(name.map_err(|refused| {
                Invalid::field("folder", "folder-name", format!("This is no folder: {}.", refused.reason))
            }))
        });
        let limit = asked.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            invalid.add("limit", "limit-range", format!("A page has 1 to {MOST} entries."));
        }
        invalid.finish()?;
        let connector = self.settle_at(place, &asked.values, call.is_administrator()).await?.connect()?;
        let browses = &connector.capabilities().browses;
        if !browses.contains(&asked.what.as_str()) {
            let message = format!("What this connector lists: {}.", browses.join(", "));
            return Err(Invalid::field("what", "browse-unknown", message).into());
        }
        let what = Browse {
            what: asked.what.clone(),
            folder,
            prefix: asked.prefix.clone(),
            after: asked.cursor.clone(),
            limit: limit as usize,
        };
        let ask = |connector: Arc<dyn Connector>| async move { connector.browse(&what).await };
        self.places.ask(connector, ask).await?.map_err(|error| failed(&error))
    }

    /// Sees whether a saved configuration is a file share that works; gives the revision that does.
    pub(super) async fn try_file_share(&self, id: ConfigurationId) -> Result<i64, Refusal> {
        const FIELD: &str = "file_share";
        let found = self.saved_configuration(id).await;
        let (configuration, saved) = found.map_err(|refusal| match refusal.reason {
            Reason::Missing => {
                let message = format!("There is no connector configuration {id}.");
                Invalid::field(FIELD, "configuration-unknown", message).into()
            }
            _ => refusal,
        })?;
        if configuration.connector != FILE_SHARE {
            let message =
                format!("{} is no file share but of {}.", configuration.name, configuration.connector);
            return Err(Invalid::field(FIELD, "not-a-file-share", message).into());
        }
        let values = self.settle(&configuration.connector, &saved, None, &SecretChanges::new(), false)?;
        self.require_working(&values, FIELD).await?;
        Ok(configuration.revision)
    }

    /// Refuses values with which not everything works that a file share is for, naming the field that they come from.
    pub(super) async fn require_working(&self, values: &Settled, field: &str) -> Result<(), Refusal> {
        let report = self.test(values).await?;
        let mut invalid = Invalid::new();
        for trial in report.trials.iter().filter(|trial| trial.outcome == Outcome::Failed) {
            let mut message = format!("{} failed: {}.", trial.tried, trial.detail);
            if let Some(hint) = &trial.hint {
                message.push_str(&format!(" {hint}"));
            }
            invalid.add(field, "file-share-test", message);
        }
        Ok(invalid.finish()?)
    }

    /// Tries everything that a connector with these values needs.
    async fn test(&self, values: &Settled) -> Result<TestReport, Refusal> {
        let ask = |connector: Arc<dyn Connector>| async move { connector.test().await };
        let trials = self.places.ask(values.connect()?, ask).await?;
        Ok(TestReport { passed: trials.iter().all(|trial| trial.outcome == Outcome::Passed), trials })
    }

    /// What a connector answers while a caller waits.
    pub(super) async fn ask_connector<T, F>(
        &self,
        connector: Arc<dyn Connector>,
        question: impl FnOnce(Arc<dyn Connector>) -> F,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = connectors::Result<T>> + Send + 'static,
    {
        self.places.ask(connector, question).await?.map_err(|error| failed(&error))
    }

    /// The connector of a configuration, for tasks. Nothing is contacted.
    pub(crate) async fn connect(&self, id: ConfigurationId) -> Result<Arc<dyn Connector>, Refusal> {
        self.settle_at(&Place::Saved(id), &ConnectorValues::default(), false).await?.connect()
    }

    /// The values that a question is asked with.
    async fn settle_at(
        &self,
        place: &Place,
        values: &ConnectorValues,
        administrator: bool,
    ) -> Result<Settled, Refusal> {
        let fields = values.fields.as_ref();
        match place {
            Place::New(connector) => {
                self.kinds.kind(connector).ok_or_else(|| Refusal::missing("connector", connector))?;
                Ok(self.settle(connector, &Saved::default(), fields, &values.secrets, administrator)?)
            }
            Place::Saved(id) => {
                let (configuration, saved) = self.saved_configuration(*id).await?;
                let connector = &configuration.connector;
                Ok(self.settle(connector, &saved, fields, &values.secrets, administrator)?)
            }
        }
    }
}

/// What a connector says it could not do.
fn failed(error: &connectors::Error) -> Refusal {
    tracing::info!(code = error.code(), %error, "a connector could not answer");
    Refusal::explained(Reason::Conflict, error)
}
