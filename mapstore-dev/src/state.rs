//! What the server holds: objects, users, policies, one revision counter. All
//! changes of ConfigMaps pass through `store` and `remove`. No HTTP here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::watch;

use crate::auth::Subject;
use crate::gostr;
use crate::history::{Event, History, Objects};
use crate::kind::Kind;
use crate::object::Object;

/// Where revisions start: a new cluster's first user object is not number 1 either.
const FIRST_REVISION: u64 = 200;

/// The namespaces every cluster has, which can't be deleted but for the last.
pub const IMMORTAL: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

#[derive(Clone, Debug)]
pub struct Namespace {
    pub name: String,
    pub uid: String,
    pub revision: u64,
    pub created: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// spec.finalizers: "kubernetes", and whatever else keeps it alive.
    pub finalizers: Vec<String>,
    /// Since when it is being deleted.
    pub terminating: Option<String>,
    /// Terminating for good, whatever it holds (for tests).
    pub held: bool,
}

#[derive(Debug)]
pub struct State {
    revision: u64,
    pub namespaces: BTreeMap<String, Namespace>,
    objects: Objects,
    /// The users, by their tokens.
    pub users: HashMap<String, Subject>,
    /// ConfigMaps a namespace may hold.
    pub quotas: BTreeMap<String, u64>,
    /// Namespace and key an admission policy refuses.
    pub forbidden_keys: BTreeSet<(String, String)>,
    pub history: History,
    /// Says that there is something new in the history.
    changed: watch::Sender<()>,
}

impl State {
    pub fn new(admin_token: &str) -> State {
        let mut state = State {
            revision: FIRST_REVISION,
            namespaces: BTreeMap::new(),
            objects: BTreeMap::new(),
            users: HashMap::from([(admin_token.into(), Subject::Admin)]),
            quotas: BTreeMap::new(),
            forbidden_keys: BTreeSet::new(),
            history: History::default(),
            changed: watch::Sender::new(()),
        };
        for name in IMMORTAL {
            state.create_namespace(name);
        }
        state.restarted();
        state
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// Creates a namespace unless it is there.
    pub fn create_namespace(&mut self, name: &str) -> &mut Namespace {
        let revision = if self.namespaces.contains_key(name) { 0 } else { self.next_revision() };
        self.namespaces.entry(name.into()).or_insert_with(|| Namespace {
            name: name.into(),
            uid: crate::random::uid(),
            revision,
            created: gostr::now(),
            labels: BTreeMap::from([("kubernetes.io/metadata.name".into(), name.into())]),
            annotations: BTreeMap::new(),
            finalizers: vec!["kubernetes".into()],
            terminating: None,
            held: false,
        })
    }

    pub fn object(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(&(kind, namespace.to_string(), name.to_string()))
    }

    /// The objects of a kind in a namespace, or in all with "".
    pub fn objects(&self, kind: Kind, namespace: &str) -> impl Iterator<Item = &Arc<Object>> {
        let all = self.objects.values().filter(move |object| object.kind == kind);
        all.filter(move |object| namespace.is_empty() || object.metadata.namespace == namespace)
    }

    pub fn everything(&self) -> Vec<Arc<Object>> {
        self.objects.values().cloned().collect()
    }

    /// Everything in a namespace.
    pub fn all_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values().filter(move |object| object.metadata.namespace == namespace)
    }

    /// All objects as they were at a revision; None if that isn't known any more.
    pub fn objects_at(&self, revision: u64) -> Option<Objects> {
        self.history.at(revision, self.objects.clone())
    }

    /// Stores an object at a new revision.
    pub fn store(&mut self, mut cm: Object) -> Arc<Object> {
        let revision = self.next_revision();
        cm.metadata.resource_version = revision.to_string();
        let cm = Arc::new(cm);
        let key = (cm.kind, cm.metadata.namespace.clone(), cm.metadata.name.clone());
        let before = self.objects.insert(key, Arc::clone(&cm));
        self.tell(Event { revision, before, after: Some(Arc::clone(&cm)) });
        cm
    }

    /// Removes an object, at a new revision too.
    pub fn remove(&mut self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let removed = self.objects.remove(&(kind, namespace.to_string(), name.to_string()))?;
        let revision = self.next_revision();
        self.tell(Event { revision, before: Some(Arc::clone(&removed)), after: None });
        self.reap(namespace);
        Some(removed)
    }

    fn tell(&mut self, event: Event) {
        self.history.push(event);
        self.changed.send_replace(());
    }

    /// Wakes up whenever something is told.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Makes the server one that was started anew: watches begin at this moment.
    pub fn restarted(&mut self) {
        self.history.restarted(self.revision);
    }

    /// Forgets how the ConfigMaps were before this moment.
    pub fn compact(&mut self) {
        self.history.compact(self.revision);
    }

    /// Removes a terminating namespace that nothing keeps any more: the
    /// namespace controller's part, which a bare API server doesn't have.
    pub fn reap(&mut self, namespace: &str) {
        let Some(ns) = self.namespaces.get(namespace) else { return };
        let kept = ns.terminating.is_none()
            || ns.held
            || ns.finalizers.iter().any(|f| f != "kubernetes")
            || self.all_in(namespace).next().is_some();
        if !kept {
            self.namespaces.remove(namespace);
            self.next_revision();
        }
    }
}
