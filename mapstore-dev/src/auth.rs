//! Who may do what: bearer tokens, and rules as in RBAC Roles. Pure; the
//! server keeps the users, this file judges.

use serde::Deserialize;

use crate::gostr;
use crate::request::Target;
use crate::status::Status;

/// A rule of a Role: what it allows, for which names (all if none are listed).
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Rule {
    pub api_groups: Vec<String>,
    pub resources: Vec<String>,
    pub resource_names: Vec<String>,
    pub verbs: Vec<String>,
}

impl Rule {
    fn allows(&self, target: &Target) -> bool {
        let has = |list: &[String], item: &str| list.iter().any(|v| v == item || v == "*");
        let resource = match target.subresource.as_str() {
            "" => target.resource.clone(),
            sub => format!("{}/{sub}", target.resource),
        };
        // A create has no name yet, so a rule with names never allows one.
        let names = self.resource_names.is_empty()
            || (!target.name.is_empty() && self.resource_names.contains(&target.name));
        has(&self.verbs, &target.verb)
            && has(&self.api_groups, &target.group)
            && has(&self.resources, &resource)
            && names
    }
}

/// A user of the server: a name for messages, a token for requests.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub name: String,
    pub token: String,
}

/// The sender of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// May do everything.
    Admin,
    /// No token.
    Anonymous,
    /// A user with the rules of one Role in one namespace.
    User { name: String, namespace: String, rules: Vec<Rule> },
}

/// The paths everybody may read (system:public-info-viewer), and those every
/// user may (system:discovery).
const PUBLIC: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];
const DISCOVERY: [&str; 3] = ["/api", "/apis", "/openapi"];

impl Subject {
    /// Gives the user called `name`, if this is one of its tokens, other rules.
    pub fn replace_rules(&mut self, user: &str, new: &[Rule]) {
        if let Subject::User { name, rules, .. } = self
            && name == user
        {
            *rules = new.to_vec();
        }
    }

    fn name(&self) -> &str {
        match self {
            Subject::Admin => "kubernetes-admin",
            Subject::Anonymous => "system:anonymous",
            Subject::User { name, .. } => name,
        }
    }

    /// A path that isn't about an object.
    fn allowed_path(&self, target: &Target) -> bool {
        let path = target.path.trim_end_matches('/');
        let below = |p: &&str| path.strip_prefix(*p).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        let read = target.verb == "get";
        match self {
            Subject::Admin => true,
            Subject::Anonymous => read && PUBLIC.contains(&path),
            Subject::User { .. } => read && (PUBLIC.contains(&path) || DISCOVERY.iter().any(below)),
        }
    }

    fn allowed(&self, target: &Target) -> bool {
        if !target.is_resource {
            return self.allowed_path(target);
        }
        match self {
            Subject::Admin => true,
            Subject::Anonymous => false,
            Subject::User { namespace, rules, .. } => {
                *namespace == target.namespace && rules.iter().any(|r| r.allows(target))
            }
        }
    }

    /// Allows or refuses (responsewriters/errors.go, ForbiddenStatusError).
    pub fn authorize(&self, target: &Target) -> Result<(), Status> {
        if self.allowed(target) {
            return Ok(());
        }
        let user = gostr::quote(self.name());
        let verb = &target.verb;
        let why = if !target.is_resource {
            format!("User {user} cannot {verb} path {}", gostr::quote(&target.path))
        } else {
            let resource = match target.subresource.as_str() {
                "" => gostr::quote(&target.resource),
                sub => gostr::quote(&format!("{}/{sub}", target.resource)),
            };
            let group = gostr::quote(&target.group);
            let scope = match target.namespace.as_str() {
                "" => "at the cluster scope".into(),
                ns => format!("in the namespace {}", gostr::quote(ns)),
            };
            format!("User {user} cannot {verb} resource {resource} in API group {group} {scope}")
        };
        // The text must hold nothing that a browser could take for HTML.
        let why = why.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let kind = match target.group.as_str() {
            "" => target.resource.clone(),
            group => format!("{}.{group}", target.resource),
        };
        Err(Status::forbidden(&kind, &target.name, &why))
    }
}

/// The token of an Authorization header; None if it isn't a bearer's.
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;

    fn user(rules: &str) -> Subject {
        Subject::User {
            name: "u".into(),
            namespace: "ns".into(),
            rules: serde_json::from_str(rules).unwrap(),
        }
    }

    fn target(method: &str, path: &str) -> Target {
        Target::of(method, path, &Query::default())
    }

    #[test]
    fn rules_of_a_role() {
        let u = user(
            r#"[{"apiGroups":[""],"resources":["configmaps"],"resourceNames":["x"],"verbs":["get","create"]}]"#,
        );
        assert!(u.allowed(&target("GET", "/api/v1/namespaces/ns/configmaps/x")));
        assert!(!u.allowed(&target("GET", "/api/v1/namespaces/ns/configmaps/y")));
        assert!(!u.allowed(&target("GET", "/api/v1/namespaces/other/configmaps/x")));
        assert!(!u.allowed(&target("POST", "/api/v1/namespaces/ns/configmaps")));
        assert!(u.allowed(&target("GET", "/api/v1")));
    }

    #[test]
    fn refusals_name_everything() {
        let status = user("[]").authorize(&target("PATCH", "/api/v1/namespaces/ns/configmaps/x"));
        assert_eq!(
            status.unwrap_err().message,
            "configmaps \"x\" is forbidden: User \"u\" cannot patch resource \"configmaps\" in API group \"\" in the namespace \"ns\""
        );
        let status = Subject::Anonymous.authorize(&target("GET", "/api/v1/configmaps"));
        assert_eq!(
            status.unwrap_err().message,
            "configmaps is forbidden: User \"system:anonymous\" cannot list resource \"configmaps\" in API group \"\" at the cluster scope"
        );
        let status = Subject::Anonymous.authorize(&target("GET", "/api"));
        assert_eq!(
            status.unwrap_err().message,
            "forbidden: User \"system:anonymous\" cannot get path \"/api\""
        );
        assert!(Subject::Anonymous.authorize(&target("GET", "/livez")).is_ok());
    }
}
