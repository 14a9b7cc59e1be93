//! Which request meets which fault: drawn from the seed and the number of the request.

use std::sync::{Arc, Mutex, PoisonError};

use mapstore_harness::proxy::{Asked, Lottery};
use serde::Serialize;

use super::credentials::Credentials;
use super::kind::{Class, Kind};
use crate::model::Plan;
use crate::random::Random;
use crate::record::now;

/// A fault that was used.
#[derive(Clone, Debug, Serialize)]
pub struct Fired {
    pub at: u64,
    pub kind: String,
    pub method: String,
    pub query: String,
}

pub fn lottery(plan: &Plan, credentials: Arc<Credentials>, fired: Arc<Mutex<Vec<Fired>>>) -> Lottery {
    let (seed, kinds, permille) = (plan.seed, plan.kinds.clone(), plan.permille);
    let mut number = 0u64;
    Box::new(move |asked| {
        if credentials.is_old(asked.authorization) {
            return Some(Kind::Unauthorized.rule(&mut Random::new(seed, "old token")));
        }
        number += 1;
        let mut random = Random::new(seed.wrapping_add(number << 40), "request");
        let class = class_of(asked);
        // There are few watches and lists, and none without another fault before it.
        let share = if matches!(class, Class::Watch | Class::List) { permille * 2 } else { permille };
        if random.below(1000) >= share {
            return None;
        }
        let fitting: Vec<Kind> = kinds.iter().copied().filter(|kind| kind.befalls(class)).collect();
        if fitting.is_empty() {
            return None;
        }
        let kind = *random.of(&fitting);
        fired.lock().unwrap_or_else(PoisonError::into_inner).push(Fired {
            at: now(),
            kind: kind.name().to_owned(),
            method: asked.method.to_owned(),
            query: asked.query.to_owned(),
        });
        Some(kind.rule(&mut random))
    })
}

fn class_of(asked: &Asked<'_>) -> Class {
    let watches = asked.query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
    match asked.method {
        "GET" if watches => Class::Watch,
        "GET" if asked.path.ends_with("/configmaps") => Class::List,
        "GET" => Class::Read,
        _ => Class::Write,
    }
}
