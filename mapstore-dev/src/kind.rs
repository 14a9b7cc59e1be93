//! The kinds of objects that are stored here, with their names in the API's
//! words. What differs between them by more than a name is where it belongs:
//! fields in object.rs, decode.rs and managed.rs, rules in validate.rs.

/// ConfigMaps, and Leases for elections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    #[default]
    ConfigMap,
    Lease,
}

impl Kind {
    pub fn of(group: &str, resource: &str) -> Option<Kind> {
        [Kind::ConfigMap, Kind::Lease].into_iter().find(|k| (k.group(), k.resource()) == (group, resource))
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::ConfigMap => "ConfigMap",
            Kind::Lease => "Lease",
        }
    }

    pub fn resource(self) -> &'static str {
        match self {
            Kind::ConfigMap => "configmaps",
            Kind::Lease => "leases",
        }
    }

    pub fn group(self) -> &'static str {
        match self {
            Kind::ConfigMap => "",
            Kind::Lease => "coordination.k8s.io",
        }
    }

    pub fn api_version(self) -> &'static str {
        match self {
            Kind::ConfigMap => "v1",
            Kind::Lease => "coordination.k8s.io/v1",
        }
    }

    /// The resource with its group, as refusals name it.
    pub fn qualified(self) -> &'static str {
        match self {
            Kind::ConfigMap => "configmaps",
            Kind::Lease => "leases.coordination.k8s.io",
        }
    }

    /// The kind with its group, as a deletion's refusal names it.
    pub fn qualified_name(self) -> &'static str {
        match self {
            Kind::ConfigMap => "ConfigMap",
            Kind::Lease => "Lease.coordination.k8s.io",
        }
    }

    /// The real server's Go type.
    pub fn internal(self) -> &'static str {
        match self {
            Kind::ConfigMap => "core.ConfigMap",
            Kind::Lease => "coordination.Lease",
        }
    }

    /// A PUT of what isn't there makes it, and a PUT without a revision is refused.
    pub fn is_lease(self) -> bool {
        self == Kind::Lease
    }
}
