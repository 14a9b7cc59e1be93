//! How lately each verb was answered well: a 403 within seconds of that may be
//! an API server that has just started and doesn't know its roles yet (kubernetes'
//! RBAC authorizer answers from caches that are filled after the port is open).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Method;

/// A restart takes seconds in which nothing is answered at all.
const LATELY: Duration = Duration::from_secs(30);

/// A right that was taken away stays refused: after this long it is believed.
const DOUBTFUL: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(crate) struct Recent(Mutex<HashMap<Method, Answers>>);

#[derive(Clone, Copy, Default)]
struct Answers {
    fine: Option<Instant>,
    /// Of the refusals since.
    first_refused: Option<Instant>,
}

impl Recent {
    pub fn fine(&self, method: &Method, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(method.clone(), Answers { fine: Some(now), first_refused: None });
    }

    /// The verb was refused. Whether it may be granted in a moment.
    pub fn refused(&self, method: &Method, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = all.entry(method.clone()).or_default();
        let first = *answers.first_refused.get_or_insert(now);
        let was_fine = answers.fine.is_some_and(|fine| now.duration_since(fine) < LATELY);
        was_fine && now.duration_since(first) < DOUBTFUL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_doubted_for_a_moment_after_fine_answers_of_the_same_verb() {
        let (recent, start) = (Recent::default(), Instant::now());
        assert!(!recent.refused(&Method::PATCH, start), "it was never granted");
        recent.fine(&Method::GET, start);
        assert!(!recent.refused(&Method::PATCH, start));
        recent.fine(&Method::PATCH, start);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(recent.refused(&Method::PATCH, after(5)) && recent.refused(&Method::PATCH, after(6)));
        assert!(!recent.refused(&Method::PATCH, after(8)), "it stays refused");
        recent.fine(&Method::PATCH, after(9));
        assert!(recent.refused(&Method::PATCH, after(10)));
        assert!(!recent.refused(&Method::GET, after(60)));
    }
}
