//! What a handler answers, before it has a form.

use std::sync::Arc;

use serde_json::Value;

use crate::kind::Kind;
use crate::object::Object;
use crate::status::Status;

#[derive(Debug)]
pub enum Body {
    Status(Status),
    Object(Arc<Object>),
    List(Page),
    Json(Value),
    Text(&'static str),
}

/// A list, or a part of one.
#[derive(Debug)]
pub struct Page {
    pub kind: Kind,
    pub items: Vec<Arc<Object>>,
    pub revision: u64,
    /// The token to ask for the rest with; empty if this is the end.
    pub proceed: String,
    /// How many are left, if that can be told.
    pub remaining: Option<usize>,
}

#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub body: Body,
}

impl Answer {
    pub fn object(code: u16, object: Arc<Object>) -> Answer {
        Answer { code, body: Body::Object(object) }
    }

    pub fn json(code: u16, value: Value) -> Answer {
        Answer { code, body: Body::Json(value) }
    }

    pub fn text(code: u16, text: &'static str) -> Answer {
        Answer { code, body: Body::Text(text) }
    }
}

impl From<Status> for Answer {
    fn from(status: Status) -> Answer {
        Answer { code: status.code, body: Body::Status(status) }
    }
}
