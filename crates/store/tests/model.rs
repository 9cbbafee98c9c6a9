//! Random operations on a store and on hash maps end with the same contents.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod sample;

use operation::Silent;
use proptest::prelude::*;
use sample::{bytes, directory, object, read, store_blobs};
use std::collections::{BTreeMap, HashSet};
use store::{BlobId, Expect, Object, ObjectId, RefName, Store};

#[derive(Debug, Clone)]
enum Step {
    /// Stores contents, given by seed and length: equal pairs are duplicates.
    Blobs(Vec<(u8, usize)>),
    /// Stores an object that needs some of the blobs and objects that are certainly there.
    Object {
        blobs: Vec<prop::sample::Index>,
        links: Vec<prop::sample::Index>,
    },
    SetRef {
        name: u8,
        object: prop::sample::Index,
    },
    RemoveRef(u8),
    Collect,
    /// Ends the session, so that only what is referenced is certainly there.
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![Just(0usize), Just(1), Just(4096), 1usize..20_000];
    let step = prop_oneof![
        3 => prop::collection::vec((0u8..12, len), 1..8).prop_map(Step::Blobs),
        3 => (prop::collection::vec(any::<prop::sample::Index>(), 0..4), prop::collection::vec(any::<prop::sample::Index>(), 0..3))
            .prop_map(|(blobs, links)| Step::Object { blobs, links }),
        3 => (0u8..4, any::<prop::sample::Index>()).prop_map(|(name, object)| Step::SetRef { name, object }),
        2 => (0u8..4).prop_map(Step::RemoveRef),
        2 => Just(Step::Collect),
        2 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

/// What must be in the store.
#[derive(Default)]
struct Model {
    refs: BTreeMap<RefName, ObjectId>,
    objects: BTreeMap<ObjectId, Object>,
    blobs: BTreeMap<BlobId, Vec<u8>>,
    /// What the running session stored or found, and therefore keeps.
    held_objects: HashSet<ObjectId>,
    held_blobs: HashSet<BlobId>,
}

impl Model {
    /// Forgets what neither a reference nor the session reaches.
    fn forget_garbage(&mut self) {
        let mut reached = HashSet::new();
        let mut queue: Vec<ObjectId> = self.refs.values().chain(&self.held_objects).copied().collect();
        while let Some(id) = queue.pop() {
            if reached.insert(id) {
                queue.extend(&self.objects[&id].links);
            }
        }
        self.objects.retain(|id, _| reached.contains(id));
        let mut blobs: HashSet<BlobId> =
            self.objects.values().flat_map(|object| object.blobs.iter().copied()).collect();
        blobs.extend(&self.held_blobs);
        self.blobs.retain(|id, _| blobs.contains(id));
    }

    /// The session has ended.
    fn let_go(&mut self) {
        self.held_objects.clear();
        self.held_blobs.clear();
        self.forget_garbage();
    }

    /// In a session of its own: looking must not be what keeps things.
    fn compare(&self, store: &Store) {
        let session = &store.session().unwrap();
        assert_eq!(store.refs("").unwrap(), self.refs.clone().into_iter().collect::<Vec<_>>());
        for (id, object) in &self.objects {
            assert_eq!(store.get_object(*id).unwrap(), *object);
        }
        for (id, content) in &self.blobs {
            assert!(read(session, *id) == *content);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_store_holds_what_hash_maps_hold(steps in steps()) {
        let directory = directory();
        let mut store = Store::init(directory.path()).unwrap();
        let mut session = store.session().unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Blobs(wanted) => {
                    let contents: Vec<_> = wanted.iter().map(|(seed, len)| bytes((*seed).into(), *len)).collect();
                    for (id, content) in store_blobs(&session, &contents).into_iter().zip(contents) {
                        prop_assert_eq!(id, BlobId::of(&content));
                        model.blobs.insert(id, content);
                        model.held_blobs.insert(id);
                    }
                }
                Step::Object { blobs, links } => {
                    let pick = |from: Vec<ObjectId>| links.iter().filter(|_| !from.is_empty()).map(|i| *i.get(&from)).collect::<Vec<_>>();
                    let there: Vec<BlobId> = model.blobs.keys().copied().collect();
                    let blobs: Vec<_> = blobs.iter().filter(|_| !there.is_empty()).map(|i| *i.get(&there)).collect();
                    let links = pick(model.objects.keys().copied().collect());
                    let object = object(&blobs, &links, b"payload");
                    let id = session.put_object(&object).unwrap();
                    model.held_objects.insert(id);
                    model.held_blobs.extend(&object.blobs);
                    model.objects.insert(id, object);
                }
                Step::SetRef { name, object } => {
                    let there: Vec<ObjectId> = model.objects.keys().copied().collect();
                    if !there.is_empty() {
                        let (name, id) = (RefName::new(["r", &name.to_string()]).unwrap(), *object.get(&there));
                        let before = model.refs.insert(name.clone(), id);
                        store.set_ref(&name, before.map_or(Expect::Absent, Expect::Is), id).unwrap();
                    }
                }
                Step::RemoveRef(name) => {
                    let name = RefName::new(["r", &name.to_string()]).unwrap();
                    let expected = model.refs.remove(&name).map_or(Expect::Absent, Expect::Is);
                    store.remove_ref(&name, expected).unwrap();
                }
                Step::Collect => {
                    model.forget_garbage();
                    store.gc(false, &Silent).unwrap();
                    model.compare(&store);
                }
                Step::Reopen => {
                    model.let_go();
                    drop(session);
                    drop(store);
                    store = Store::open(directory.path()).unwrap();
                    session = store.session().unwrap();
                    model.compare(&store);
                }
            }
        }
        model.compare(&store);
        prop_assert_eq!(store.check(true, &Silent).unwrap().problems, vec![]);
        drop(session);
        model.let_go();
        store.gc(false, &Silent).unwrap();
        let report = store.check(true, &Silent).unwrap();
        prop_assert_eq!(report.problems, vec![]);
        prop_assert_eq!(report.objects, model.objects.len() as u64, "no dead object is left");
        prop_assert!(report.packs == 0 || !model.blobs.is_empty(), "no dead pack is left");
        model.compare(&store);
    }
}
