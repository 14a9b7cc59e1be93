//! A request: its head, and what the path and method ask for in the API's words
//! (verb, resource, namespace, name), as apiserver/pkg/endpoints/request/requestinfo.go
//! has them. Pure.

use std::cell::RefCell;

use crate::query::{Query, percent_decode};
use crate::status::Status;

/// The largest body of a write (apiserver/pkg/server/config.go, MaxRequestBodyBytes).
pub const MAX_BODY: usize = 3 * 1024 * 1024;

/// A request's head, as the wire has it.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub method: String,
    pub path: String,
    pub query: String,
    pub accept: String,
    pub content_type: String,
    pub user_agent: String,
    pub authorization: String,
}

/// A request that may be answered.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: Target,
    pub query: Query,
    pub accept: String,
    pub content_type: String,
    pub user_agent: String,
    /// None: longer than [`MAX_BODY`].
    pub body: Option<Vec<u8>>,
    /// What to warn the client of, whatever the outcome.
    pub warnings: RefCell<Vec<String>>,
}

impl Request {
    pub fn body(&self) -> Result<&[u8], Status> {
        let limit = || Status::body_too_large(&format!("limit is {MAX_BODY}"));
        self.body.as_deref().ok_or_else(limit)
    }

    pub fn warn(&self, warnings: Vec<String>) {
        let mut list = self.warnings.borrow_mut();
        for warning in warnings {
            if !list.contains(&warning) {
                list.push(warning);
            }
        }
    }

    pub fn listing(&self) -> bool {
        matches!(self.target.verb.as_str(), "list" | "watch")
    }
}

/// The parts of a path below /api/v1, or the path itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    pub path: String,
    pub verb: String,
    /// Is it about a resource at all?
    pub is_resource: bool,
    pub resource: String,
    pub subresource: String,
    pub group: String,
    pub namespace: String,
    pub name: String,
}

impl Target {
    pub fn of(method: &str, path: &str, query: &Query) -> Target {
        let path = percent_decode(path, false);
        let mut target = Target { verb: method.to_lowercase(), path, ..Target::default() };
        let parts: Vec<String> = target.path.trim_matches('/').split('/').map(str::to_string).collect();
        let rest = match parts.first().map(String::as_str) {
            Some("api") if parts.len() >= 3 => &parts[2..],
            Some("apis") if parts.len() >= 4 => {
                target.group = parts[1].clone();
                &parts[3..]
            }
            _ => return target,
        };
        target.resource_parts(method, rest, query);
        target
    }

    fn resource_parts(&mut self, method: &str, mut parts: &[String], query: &Query) {
        if parts[0] == "namespaces" && parts.len() > 1 {
            self.namespace = parts[1].clone();
            let own = parts.get(2).is_none_or(|p| p == "status" || p == "finalize");
            if !own {
                parts = &parts[2..];
            }
        }
        self.is_resource = true;
        self.resource = parts[0].clone();
        self.name = parts.get(1).cloned().unwrap_or_default();
        self.subresource = parts.get(2).cloned().unwrap_or_default();
        self.verb = match method {
            "POST" => "create",
            "GET" | "HEAD" => "get",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "",
        }
        .into();
        if !self.name.is_empty() {
            return;
        }
        match self.verb.as_str() {
            "get" => {
                self.verb = if query.flag("watch") { "watch" } else { "list" }.into();
                // A selector for one name makes RBAC's resourceNames apply.
                if let Some(name) = query.get("fieldSelector").and_then(selected_name) {
                    self.name = name.into();
                }
            }
            "delete" => self.verb = "deletecollection".into(),
            _ => {}
        }
    }
}

/// The name a field selector asks for, if it asks for exactly one.
pub fn selected_name(selector: &str) -> Option<&str> {
    selector.split(',').find_map(|term| {
        let name = term.trim().strip_prefix("metadata.name=")?;
        let name = name.strip_prefix('=').unwrap_or(name);
        (!name.is_empty() && !name.contains(['/', '%', '='])).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, url: &str) -> Target {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        Target::of(method, path, &Query::parse(query))
    }

    #[test]
    fn verbs_and_parts() {
        let t = target("PATCH", "/api/v1/namespaces/ns/configmaps/a%2Eb?x=y");
        assert_eq!((t.verb.as_str(), t.resource.as_str()), ("patch", "configmaps"));
        assert_eq!((t.namespace.as_str(), t.name.as_str()), ("ns", "a.b"));
        assert_eq!(target("GET", "/api/v1/configmaps").verb, "list");
        assert_eq!(target("GET", "/api/v1/configmaps?watch=true").verb, "watch");
        assert_eq!(target("DELETE", "/api/v1/namespaces/ns/configmaps").verb, "deletecollection");
        let t = target("GET", "/api/v1/namespaces/ns");
        assert_eq!((t.resource.as_str(), t.name.as_str()), ("namespaces", "ns"));
        assert_eq!(t.namespace, "ns");
        let t = target("GET", "/api/v1");
        assert_eq!((t.verb.as_str(), t.resource.as_str()), ("get", ""));
    }

    #[test]
    fn a_name_selector_is_a_name() {
        let t = target("GET", "/api/v1/namespaces/ns/configmaps?fieldSelector=metadata.name%3Dx");
        assert_eq!((t.verb.as_str(), t.name.as_str()), ("list", "x"));
    }
}
