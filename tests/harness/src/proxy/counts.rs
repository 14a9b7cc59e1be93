//! What went through the proxy, in requests and bytes.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use super::request::Request;

/// What a path is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// One named object.
    Object,
    /// All of a kind: a POST to it creates, a GET lists.
    Collection,
    Watch,
    /// Discovery and the like.
    Other,
}

/// Bytes are those of the content, without TLS and without the framing of chunks; heads are counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub requests: u64,
    pub request_head: u64,
    pub request_body: u64,
    pub response_head: u64,
    pub response_body: u64,
}

/// By method and kind of path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<(String, PathKind), Count>);

impl PathKind {
    pub(super) fn of(path: &str, query: &str) -> PathKind {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let below = match parts.first() {
            Some(&"api") => parts.get(2..),
            Some(&"apis") => parts.get(3..),
            _ => None,
        };
        let below = match below {
            // A namespace's own path, or what is in it.
            Some([_, _, rest @ ..]) if below.is_some_and(|b| b[0] == "namespaces") && !rest.is_empty() => {
                rest
            }
            Some(below) if !below.is_empty() => below,
            _ => return PathKind::Other,
        };
        let watches = query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
        match below.len() {
            1 if watches => PathKind::Watch,
            1 => PathKind::Collection,
            _ => PathKind::Object,
        }
    }
}

impl Count {
    /// Both ways, without heads.
    pub fn body(&self) -> u64 {
        self.request_body + self.response_body
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.requests += other.requests;
        self.request_head += other.request_head;
        self.request_body += other.request_body;
        self.response_head += other.response_head;
        self.response_body += other.response_body;
    }
}

impl Counts {
    pub fn of(&self, method: &str, kind: PathKind) -> Count {
        self.0.get(&(method.to_owned(), kind)).copied().unwrap_or_default()
    }

    pub fn total(&self) -> Count {
        let mut total = Count::default();
        self.0.values().for_each(|count| total += *count);
        total
    }

    pub(super) fn request(&mut self, request: &Request) {
        let count = Count {
            requests: 1,
            request_head: request.head.0.len() as u64,
            request_body: request.content as u64,
            ..Count::default()
        };
        *self.0.entry(request.counted_as()).or_default() += count;
    }

    pub(super) fn response(&mut self, request: &Request, head: usize, body: usize) {
        let count = Count { response_head: head as u64, response_body: body as u64, ..Count::default() };
        *self.0.entry(request.counted_as()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_paths() {
        let cases = [
            ("/api/v1/namespaces/n/configmaps/m", "", PathKind::Object),
            ("/api/v1/namespaces/n/configmaps", "", PathKind::Collection),
            ("/api/v1/namespaces/n/configmaps", "limit=1&watch=true", PathKind::Watch),
            ("/api/v1/namespaces/n", "", PathKind::Object),
            ("/api/v1/namespaces", "", PathKind::Collection),
            ("/apis/rbac.authorization.k8s.io/v1/namespaces/n/roles/r", "", PathKind::Object),
            ("/api/v1", "", PathKind::Other),
            ("/livez", "watch=1", PathKind::Other),
        ];
        for (path, query, kind) in cases {
            assert_eq!(PathKind::of(path, query), kind, "{path}?{query}");
        }
    }
}
