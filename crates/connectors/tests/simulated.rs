//! The simulated platform, copied to and from, and written in place.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod behind;

use behind::Behind;
use connectors::conformance::Fixture;
use connectors::simulated::{Operation, PASSWORD, Simulation, When};
use connectors::{
    Connector, DiskName, MachineState, OperationKey, Purpose, Registry, Removal, Secrets, Shipment, Values,
    Watch,
};
use disk::format::Format;
use operation::Explain;
use std::collections::BTreeSet;
use std::sync::Arc;

struct Platform {
    behind: Behind,
    simulation: Simulation,
}

impl Platform {
    fn new(in_place: bool) -> Platform {
        let behind = Behind::new();
        let simulation = Simulation::new(&behind.root, in_place);
        Platform { behind, simulation }
    }
}

#[async_trait::async_trait]
impl Fixture for Platform {
    fn connector(&self) -> Arc<dyn Connector> {
        self.simulation.connector()
    }
    fn with_wrong_password(&self) -> Option<Arc<dyn Connector>> {
        Some(self.simulation.connector_with("guess"))
    }
    async fn vanish(&self) {
        self.behind.vanish();
    }
    async fn put(&self, name: &str, bytes: &[u8]) {
        self.behind.put(name, bytes);
    }
    async fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.behind.read(name)
    }
    async fn names(&self) -> BTreeSet<String> {
        self.behind.names()
    }
    async fn hold(&self, name: &str) -> Box<dyn Send> {
        struct Running(Simulation, DiskName);
        impl Drop for Running {
            fn drop(&mut self) {
                self.0.set_machine(&self.1, MachineState::Off);
            }
        }
        let name: DiskName = name.parse().unwrap();
        self.simulation.set_machine(&name, MachineState::Running);
        Box::new(Running(self.simulation.clone(), name))
    }
}

mod copied {
    use super::Platform;

    async fn platform(_test: &str) -> Option<Platform> {
        Some(Platform::new(false))
    }

    connectors::conformance_tests!(platform);
}

mod in_place {
    use super::Platform;

    async fn platform(_test: &str) -> Option<Platform> {
        Some(Platform::new(true))
    }

    connectors::conformance_tests!(platform);
}

fn key() -> OperationKey {
    "task-1".parse().unwrap()
}

fn disk() -> DiskName {
    "a.raw".parse().unwrap()
}

fn shipment() -> Shipment {
    Shipment { purpose: Purpose::Package, name: disk(), format: Format::Raw }
}

fn source() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![1; 1 << 20]).unwrap();
    file
}

#[tokio::test]
async fn a_call_fails_before_its_effect_or_after_it_and_repeating_it_mends_both() {
    let platform = Platform::new(false);
    let (connector, file) = (platform.connector(), source());
    for when in [When::Before, When::After] {
        platform.simulation.fail(Operation::Deliver, 2, when);
        connector.deliver(&key(), &shipment(), file.path(), &Watch::silent()).await.unwrap();
        connector.withdraw(&key(), &shipment()).await.unwrap();
        let error = connector.deliver(&key(), &shipment(), file.path(), &Watch::silent()).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("simulated-fault", true));
        assert_eq!(platform.behind.read("a.raw").is_some(), when == When::After);
        connector.deliver(&key(), &shipment(), file.path(), &Watch::silent()).await.unwrap();
        assert_eq!(connector.withdraw(&key(), &shipment()).await.unwrap(), Removal::Removed);
        assert_eq!(platform.simulation.contents().unwrap(), Default::default());
    }
    assert_eq!(platform.simulation.calls(Operation::Deliver), 6);
}

#[tokio::test]
async fn a_gate_holds_a_call_until_it_is_opened() {
    let platform = Platform::new(false);
    let gate = platform.simulation.gate(Operation::Locate);
    let connector = platform.connector();
    let called = tokio::spawn(async move { connector.locate(&disk()).await });
    gate.reached().await;
    assert!(!called.is_finished());
    gate.open();
    assert_eq!(called.await.unwrap().unwrap(), None);
    platform.connector().locate(&disk()).await.unwrap();
}

#[tokio::test]
async fn what_a_machine_wrote_since_the_delivery_is_reported() {
    let platform = Platform::new(false);
    let (connector, file, scratch) = (platform.connector(), source(), tempfile::tempdir().unwrap());
    connector.deliver(&key(), &shipment(), file.path(), &Watch::silent()).await.unwrap();
    platform.simulation.set_machine(&disk(), MachineState::Running);
    assert_eq!(connector.machine_state(&disk()).await.unwrap(), MachineState::Running);
    platform.simulation.write(&disk(), 4096, &[2; 512]).unwrap();
    platform.simulation.set_machine(&disk(), MachineState::Off);
    let fetched =
        connector.fetch(&"task-2".parse().unwrap(), &disk(), scratch.path(), &Watch::silent()).await;
    let fetched = fetched.unwrap();
    assert_eq!(fetched.changed, Some(std::iter::once(4096..4608).collect()));
    assert_eq!(std::fs::read(&fetched.path).unwrap()[4096..4608], [2; 512]);
    assert_eq!(connector.delete_machine(&disk()).await.unwrap(), Removal::Removed);
    assert_eq!(connector.delete_disk(&disk(), &fetched.stamp).await.unwrap(), Removal::Removed);
    connector.conclude(&key()).await.unwrap();
    assert_eq!(platform.simulation.contents().unwrap(), Default::default());
}

#[tokio::test]
async fn a_server_can_offer_it_beside_the_real_kinds() {
    let platform = Platform::new(false);
    let registry =
        Registry::built_in(connectors::LinkLocal::Refused).with(Arc::new(platform.simulation.clone()));
    let kind = registry.kind("simulated").unwrap();
    assert_eq!(kind.validate(&Values::new(), &Secrets::new())[0].code, "field-required");
    let secrets = Secrets::new().with("password", PASSWORD);
    kind.connect(&Values::new(), &secrets).unwrap().check_credentials().await.unwrap();
}
