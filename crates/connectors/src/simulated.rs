//! A platform inside the process, for tests: disks are real files in a directory, machines are names with a state.
//!
//! A test makes calls fail before or after their effect, holds them at gates, plays the machine that writes into a
//! disk, and sees afterwards what is left. Disks are moved by the code of file shares.

use crate::connector::{
    Browse, Connector, Delivered, DiskStamp, Fetched, Folder, FolderFile, Found, Listing, MachineState,
    Outcome, Placement, Removal, Shipment, Trial, Usage,
};
use crate::description::{Capabilities, Description, Purpose};
use crate::error::{Error, Result};
use crate::field::{self, Field, FieldError, FieldType, Secrets, Values};
use crate::fileshare::{self, DirectoryAccess, ShareConnector};
use crate::key::OperationKey;
use crate::kind::Kind;
use crate::name::DiskName;
use crate::watch::Watch;
use async_trait::async_trait;
use disk::format::Format;
use secrecy::ExposeSecret;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// The operations of a connector, by which faults, gates and counts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the method of the same name")]
pub enum Operation {
    CheckCredentials,
    Test,
    Browse,
    Locate,
    Fetch,
    Release,
    Placement,
    Deliver,
    Withdraw,
    Conclude,
    MachineState,
    DeleteMachine,
    DeleteDisk,
    Folder,
    FolderFiles,
    FetchFiles,
    DeliverFiles,
    RemoveFiles,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::CheckCredentials => "check_credentials",
            Operation::Test => "test",
            Operation::Browse => "browse",
            Operation::Locate => "locate",
            Operation::Fetch => "fetch",
            Operation::Release => "release",
            Operation::Placement => "placement",
            Operation::Deliver => "deliver",
            Operation::Withdraw => "withdraw",
            Operation::Conclude => "conclude",
            Operation::MachineState => "machine_state",
            Operation::DeleteMachine => "delete_machine",
            Operation::DeleteDisk => "delete_disk",
            Operation::Folder => "folder",
            Operation::FolderFiles => "folder_files",
            Operation::FetchFiles => "fetch_files",
            Operation::DeliverFiles => "deliver_files",
            Operation::RemoveFiles => "remove_files",
        }
    }
}

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// Nothing was done.
    Before,
    /// Everything was done, and the caller does not learn it.
    After,
}

/// Holds a call until a test lets it go on.
#[derive(Debug, Clone)]
pub struct Gate {
    reached: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// Waits until a call stands at the gate.
    pub async fn reached(&self) {
        // Never closed, so there is no error.
        let _ = self.reached.acquire().await.map(|permit| permit.forget());
    }

    /// Lets the call go on.
    pub fn open(&self) {
        self.open.add_permits(1);
    }

    async fn pass(&self) {
        self.reached.add_permits(1);
        let _ = self.open.acquire().await.map(|permit| permit.forget());
    }
}

/// What is on the platform.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// Names of disks and of everything else that lies in the directory, hidden things too.
    pub files: BTreeSet<String>,
    /// Disks that have a machine.
    pub machines: BTreeSet<String>,
}

#[derive(Default)]
struct State {
    in_place: bool,
    calls: BTreeMap<Operation, u64>,
    /// By operation and the number of the call, from 1.
    faults: BTreeMap<(Operation, u64), When>,
    gates: BTreeMap<Operation, Vec<Gate>>,
    machines: BTreeMap<DiskName, MachineState>,
    /// Raw packaging disks that were delivered, with what machines wrote since.
    changed: BTreeMap<DiskName, Vec<Range<u64>>>,
}

/// A simulated platform. Clones are the same one.
#[derive(Clone)]
pub struct Simulation {
    directory: PathBuf,
    state: Arc<Mutex<State>>,
}

/// The one password that the platform accepts.
pub const PASSWORD: &str = "open sesame";

impl Simulation {
    /// A platform that keeps its disks in this existing directory. With `in_place` the engine reads and writes there
    /// itself; without, disks are copied in and out as over a network.
    pub fn new(directory: &Path, in_place: bool) -> Simulation {
        let simulation = Simulation { directory: directory.to_owned(), state: Arc::default() };
        simulation.set_in_place(in_place);
        simulation
    }

    /// Whether connectors that are made from now on let the engine read and write in the directory itself.
    pub fn set_in_place(&self, in_place: bool) {
        self.state().in_place = in_place;
    }

    /// A connector with the right password.
    pub fn connector(&self) -> Arc<dyn Connector> {
        self.connector_with(PASSWORD)
    }

    /// A connector with this password.
    pub fn connector_with(&self, password: &str) -> Arc<dyn Connector> {
        let in_place = self.state().in_place;
        let access = DirectoryAccess::new(&self.directory.to_string_lossy(), in_place);
        let capabilities = Capabilities {
            reports_changed_blocks: true,
            manages_machines: true,
            ..fileshare::capabilities()
        };
        Arc::new(Simulated {
            simulation: self.clone(),
            disks: ShareConnector::new(Box::new(access)),
            password: password.to_owned(),
            capabilities,
        })
    }

    /// Makes the `call`th call of an operation from now on fail; 1 is the next one.
    pub fn fail(&self, operation: Operation, call: u64, when: When) {
        let mut state = self.state();
        let done = state.calls.get(&operation).copied().unwrap_or(0);
        state.faults.insert((operation, done + call), when);
    }

    /// Holds the next call of an operation that is not held by another gate already.
    pub fn gate(&self, operation: Operation) -> Gate {
        let gate = Gate { reached: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) };
        self.state().gates.entry(operation).or_default().push(gate.clone());
        gate
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.state().calls.get(&operation).copied().unwrap_or(0)
    }

    /// Makes a machine that starts from a disk, or puts the one there into another state.
    pub fn set_machine(&self, disk: &DiskName, state: MachineState) {
        self.state().machines.insert(disk.clone(), state);
    }

    /// Writes into a raw disk as its machine would. The range counts as changed.
    ///
    /// # Errors
    /// Those of opening and writing the file.
    pub fn write(&self, disk: &DiskName, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let file = std::fs::OpenOptions::new().write(true).open(self.directory.join(disk.as_str()))?;
        file.write_all_at(bytes, offset)?;
        if let Some(changed) = self.state().changed.get_mut(disk) {
            changed.push(offset..offset + bytes.len() as u64);
        }
        Ok(())
    }

    /// What is on the platform now.
    ///
    /// # Errors
    /// Those of listing the directory.
    pub fn contents(&self) -> std::io::Result<Contents> {
        let mut files = BTreeSet::new();
        let mut open = vec![self.directory.clone()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                let name = path.strip_prefix(&self.directory).unwrap_or(&path);
                files.insert(name.to_string_lossy().into_owned());
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
        let machines = self.state().machines.keys().map(ToString::to_string).collect();
        Ok(Contents { files, machines })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind for Simulation {
    fn describe(&self) -> Description {
        let password = Field {
            name: "password",
            title: "Password",
            help: "The only one that is accepted is `open sesame`.",
            kind: FieldType::Secret { most_chars: 40 },
            required: true,
            default: None,
            only_when: None,
        };
        let place = Field {
            name: "place",
            title: "Place",
            help: "Changes nothing.",
            kind: FieldType::Text { most_chars: 40, pattern: None },
            required: false,
            default: None,
            only_when: None,
        };
        let capabilities = Capabilities {
            reports_changed_blocks: true,
            manages_machines: true,
            ..fileshare::capabilities()
        };
        Description {
            kind: "simulated",
            title: "Simulated platform",
            help: "Machines and disks inside the server, for tests.",
            capabilities,
            fields: vec![password, place],
            secrets_go_to: vec!["place"],
        }
    }

    fn validate(&self, values: &Values, secrets: &Secrets) -> Vec<FieldError> {
        field::check(&self.describe().fields, values, secrets).err().unwrap_or_default()
    }

    fn connect(&self, values: &Values, secrets: &Secrets) -> Result<Arc<dyn Connector>> {
        let checked = field::check(&self.describe().fields, values, secrets).map_err(Error::Fields)?;
        let password = checked.secret("password").map(|secret| secret.expose_secret().to_owned());
        Ok(self.connector_with(&password.unwrap_or_default()))
    }
}

struct Simulated {
    simulation: Simulation,
    disks: ShareConnector,
    password: String,
    capabilities: Capabilities,
}

impl Simulated {
    /// Counts a call, holds it, lets it fail, or does it.
    async fn call<T>(&self, operation: Operation, work: impl Future<Output = Result<T>>) -> Result<T> {
        let (fault, gate) = {
            let mut state = self.simulation.state();
            let count = state.calls.entry(operation).or_default();
            *count += 1;
            let number = *count;
            let gate = state
                .gates
                .get_mut(&operation)
                .filter(|gates| !gates.is_empty())
                .map(|gates| gates.remove(0));
            (state.faults.remove(&(operation, number)), gate)
        };
        if let Some(gate) = gate {
            gate.pass().await;
        }
        if self.password != PASSWORD {
            return Err(Error::Credentials {
                place: "the simulated platform".to_owned(),
                user: "the test".to_owned(),
                reason: "the password is wrong".to_owned(),
            });
        }
        let failure = |when| Error::Simulated { operation: operation.name(), when };
        if fault == Some(When::Before) {
            return Err(failure("before"));
        }
        let outcome = work.await?;
        if fault == Some(When::After) { Err(failure("after")) } else { Ok(outcome) }
    }

    /// The machine of a disk, if it may be writing.
    fn running(&self, disk: &DiskName) -> Option<Usage> {
        (self.simulation.state().machines.get(disk) == Some(&MachineState::Running))
            .then(|| Usage::InUse("its machine is running".to_owned()))
    }

    fn free(&self, disk: &DiskName) -> Result<()> {
        match self.running(disk) {
            Some(Usage::InUse(reason)) => Err(Error::InUse {
                place: "the simulated platform".to_owned(),
                name: disk.to_string(),
                reason,
            }),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Connector for Simulated {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check_credentials(&self) -> Result<()> {
        self.call(Operation::CheckCredentials, self.disks.check_credentials()).await
    }

    async fn test(&self) -> Vec<Trial> {
        let trials = self.call(Operation::Test, async { Ok(self.disks.test().await) }).await;
        trials.unwrap_or_else(|error| {
            let tried = "Reach the platform with these credentials".to_owned();
            let failure = operation::Failure::new(&error);
            let (detail, hint) = (failure.message, failure.hint);
            vec![Trial { name: "open", tried, outcome: Outcome::Failed, detail, hint }]
        })
    }

    async fn browse(&self, what: &Browse) -> Result<Listing> {
        self.call(Operation::Browse, self.disks.browse(what)).await
    }

    async fn locate(&self, name: &DiskName) -> Result<Option<Found>> {
        let located = self.call(Operation::Locate, self.disks.locate(name)).await?;
        Ok(located.map(|found| Found { usage: self.running(name).unwrap_or(found.usage), ..found }))
    }

    async fn fetch(
        &self,
        key: &OperationKey,
        name: &DiskName,
        scratch: &Path,
        watch: &Watch,
    ) -> Result<Fetched> {
        let fetched = self.call(Operation::Fetch, async {
            self.free(name)?;
            self.disks.fetch(key, name, scratch, watch).await
        });
        let changed =
            |fetched| Fetched { changed: self.simulation.state().changed.get(name).cloned(), ..fetched };
        fetched.await.map(changed)
    }

    async fn release(&self, key: &OperationKey, scratch: &Path) -> Result<()> {
        self.call(Operation::Release, self.disks.release(key, scratch)).await
    }

    async fn placement(&self, key: &OperationKey, shipment: &Shipment) -> Result<Placement> {
        self.call(Operation::Placement, self.disks.placement(key, shipment)).await
    }

    async fn deliver(
        &self,
        key: &OperationKey,
        shipment: &Shipment,
        file: &Path,
        watch: &Watch,
    ) -> Result<Delivered> {
        self.call(Operation::Deliver, async {
            let delivered = self.disks.deliver(key, shipment, file, watch).await?;
            if shipment.purpose == Purpose::Package && shipment.format == Format::Raw {
                self.simulation.state().changed.entry(shipment.name.clone()).or_default();
            }
            Ok(delivered)
        })
        .await
    }

    async fn withdraw(&self, key: &OperationKey, shipment: &Shipment) -> Result<Removal> {
        self.call(Operation::Withdraw, async {
            let removal = self.disks.withdraw(key, shipment).await?;
            if removal == Removal::Removed {
                self.simulation.state().changed.remove(&shipment.name);
            }
            Ok(removal)
        })
        .await
    }

    async fn conclude(&self, key: &OperationKey) -> Result<()> {
        self.call(Operation::Conclude, self.disks.conclude(key)).await
    }

    async fn machine_state(&self, disk: &DiskName) -> Result<MachineState> {
        let state = async {
            let machines = &self.simulation.state().machines;
            Ok(machines.get(disk).copied().unwrap_or(MachineState::Absent))
        };
        self.call(Operation::MachineState, state).await
    }

    async fn delete_machine(&self, disk: &DiskName) -> Result<Removal> {
        let deleted = async {
            let was = self.simulation.state().machines.remove(disk);
            Ok(if was.is_some() { Removal::Removed } else { Removal::WasGone })
        };
        self.call(Operation::DeleteMachine, deleted).await
    }

    async fn delete_disk(&self, name: &DiskName, stamp: &DiskStamp) -> Result<Removal> {
        self.call(Operation::DeleteDisk, async {
            self.free(name)?;
            let removal = self.disks.delete_disk(name, stamp).await?;
            self.simulation.state().changed.remove(name);
            Ok(removal)
        })
        .await
    }

    async fn folder(&self, name: &DiskName) -> Result<Folder> {
        self.call(Operation::Folder, self.disks.folder(name)).await
    }

    async fn folder_files(&self, folder: &DiskName) -> Result<Vec<FolderFile>> {
        self.call(Operation::FolderFiles, self.disks.folder_files(folder)).await
    }

    async fn fetch_files(
        &self,
        folder: &DiskName,
        files: &[FolderFile],
        target: &Path,
        watch: &Watch,
    ) -> Result<()> {
        self.call(Operation::FetchFiles, self.disks.fetch_files(folder, files, target, watch)).await
    }

    async fn deliver_files(
        &self,
        key: &OperationKey,
        folder: &DiskName,
        files: &[DiskName],
        source: &Path,
        watch: &Watch,
    ) -> Result<()> {
        self.call(Operation::DeliverFiles, self.disks.deliver_files(key, folder, files, source, watch)).await
    }

    async fn remove_files(
        &self,
        key: &OperationKey,
        folder: &DiskName,
        files: &[DiskName],
    ) -> Result<Removal> {
        self.call(Operation::RemoveFiles, self.disks.remove_files(key, folder, files)).await
    }
}
