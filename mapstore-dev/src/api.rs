//! From a request to an answer: who sent the request, what that user may do, and
//! which handler answers. One function per step; no socket, so tests (and, later, faults) can call it.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::answer::Answer;
use crate::auth::{self, Subject};
use crate::discovery;
use crate::kind::Kind;
use crate::negotiate;
use crate::query::{self, Query};
use crate::render::{self, Rendered};
use crate::request::{Head, Request, Target};
use crate::state::State;
use crate::status::Status;
use crate::watch::Watch;
use crate::{gostr, list, names, namespaces, objects};

pub fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic in a handler can't leave the maps half changed: each change is one insert.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Authentication and authorization, which come before the body is read.
pub fn admit(state: &State, head: Head) -> Result<Request, Box<Rendered>> {
    let query = Query::parse(&head.query);
    let target = Target::of(&head.method, &head.path, &query);
    let refused = |status: Status, secured: bool| {
        let mut rendered = render::error(status, &query, &head.user_agent);
        rendered.no_sniff = secured;
        Box::new(rendered)
    };
    if target.verb != "watch" {
        query::check_timeout(&query).map_err(|s| refused(s, false))?;
    }
    let subject = match auth::bearer(&head.authorization) {
        None if head.authorization.trim().is_empty() => Subject::Anonymous,
        token => match token.and_then(|t| state.users.get(t)) {
            Some(subject) => subject.clone(),
            None => return Err(refused(Status::unauthorized(), false)),
        },
    };
    subject.authorize(&target).map_err(|s| refused(s, true))?;
    let Head { method, accept, content_type, user_agent, .. } = head;
    let (body, warnings) = (None, RefCell::default());
    Ok(Request { method, target, query, accept, content_type, user_agent, body, warnings })
}

/// What a request gets: an answer, or one event after the other.
#[derive(Debug)]
pub enum Reply {
    Whole(Rendered),
    Events(Box<Watch>),
}

/// Answers an admitted request.
pub fn answer(state: &mut State, request: &Request) -> Reply {
    let answered = match &request.target {
        t if !t.is_resource => {
            let answer = discovery::answer(&request.method, &request.target.path);
            return Reply::Whole(render::plain(answer, request));
        }
        t if t.group == Kind::Lease.group() && !t.path.starts_with("/apis/coordination.k8s.io/v1/") => {
            Err(no_path())
        }
        t if !t.group.is_empty() && t.group != Kind::Lease.group() => {
            return Reply::Whole(render::plain(discovery::no_path(), request));
        }
        _ => resource(state, request),
    };
    let mut rendered = match answered {
        Ok(Answered::Events(watch)) => return Reply::Events(watch),
        Ok(Answered::Whole(answer, form)) => render::answer(answer, &form, request),
        Err(status) => render::error(status, &request.query, &request.user_agent),
    };
    rendered.warnings = request.warnings.take();
    Reply::Whole(rendered)
}

type Handler = fn(&mut State, &Request) -> Result<Answer, Status>;

type Stored = fn(&mut State, &Request, Kind) -> Result<Answer, Status>;

enum Route {
    Answers(Handler),
    Stored(Kind, Stored),
    Watches(Kind),
}

enum Answered {
    Whole(Answer, negotiate::Form),
    Events(Box<Watch>),
}

fn resource(state: &mut State, request: &Request) -> Result<Answered, Status> {
    let route = route(request)?;
    if request.method == "PATCH" {
        negotiate::patch(&request.content_type)?;
    }
    negotiate::route(&request.accept, request.listing())?;
    let form = negotiate::output(&request.accept)?;
    Ok(match route {
        Route::Stored(kind, handler) => Answered::Whole(handler(state, request, kind)?, form),
        Route::Answers(handler) => Answered::Whole(handler(state, request)?, form),
        Route::Watches(kind) => Answered::Events(Box::new(Watch::of(state, request, kind, form)?)),
    })
}

fn no_path() -> Status {
    Status {
        code: 404,
        reason: "NotFound",
        message: "the server could not find the requested resource".into(),
        details: Some(Box::default()),
        proceed: String::new(),
    }
}

/// Names that can't be stored aren't looked for (handlers/namer.go).
fn check_name(target: &Target) -> Result<(), Status> {
    let complaints = names::path_segment(&target.name);
    if complaints.is_empty() {
        return Ok(());
    }
    let name = gostr::quote(&target.name);
    Err(Status::bad_request(format!("Name parameter invalid: {name}: {}", complaints.join(";"))))
}

/// The handler of a path and method: 404 without a path, 405 without the method.
fn route(request: &Request) -> Result<Route, Status> {
    let t = &request.target;
    let method = request.method.as_str();
    // A selector for one name gives a list a name that its path doesn't have.
    let item = !t.name.is_empty() && t.path.trim_end_matches('/').ends_with(&format!("/{}", t.name));
    let item = item && !matches!(t.verb.as_str(), "list" | "watch");
    let kind = Kind::of(&t.group, &t.resource);
    let known = kind.is_some() || (t.group.as_str(), t.resource.as_str()) == ("", "namespaces");
    let clusterwide = kind.is_some() && t.namespace.is_empty();
    if !known || !t.subresource.is_empty() || clusterwide && item {
        return Err(no_path());
    }
    if item {
        check_name(t)?;
    }
    let watch = !item && t.verb == "watch" && method == "GET";
    match kind {
        Some(kind) if watch => Ok(Route::Watches(kind)),
        Some(kind) => Ok(Route::Stored(kind, of_objects(item, clusterwide, method)?)),
        None if watch => Err(no_watch()),
        None => Ok(Route::Answers(of_namespaces(item, method)?)),
    }
}

fn of_objects(item: bool, clusterwide: bool, method: &str) -> Result<Stored, Status> {
    Ok(match (item, method) {
        (false, "GET") => |s, r, kind| list::list(s, r, kind),
        (false, "POST") if !clusterwide => objects::create,
        (false, "DELETE") if !clusterwide => objects::delete_collection,
        (true, "GET") => |s, r, kind| objects::get(s, r, kind),
        (true, "PUT") => objects::replace,
        (true, "PATCH") => objects::patch,
        (true, "DELETE") => objects::delete,
        _ => return Err(Status::method_not_allowed()),
    })
}

fn of_namespaces(item: bool, method: &str) -> Result<Handler, Status> {
    Ok(match (item, method) {
        (false, "GET") => |s, r| namespaces::list(s, r),
        (false, "POST") => namespaces::create,
        (true, "GET") => |s, r| namespaces::get(s, r),
        (true, "DELETE") => namespaces::delete,
        _ => return Err(Status::method_not_allowed()),
    })
}

fn no_watch() -> Status {
    Status::not_implemented("mapstore-dev watches nothing but ConfigMaps and Leases")
}
