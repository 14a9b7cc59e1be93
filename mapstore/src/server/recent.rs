//! How lately each verb was answered well, and when the last answer failed to
//! come: a 403 within seconds of that may be an API server that has just started
//! and doesn't know its roles yet (kubernetes' RBAC authorizer answers from caches
//! that are filled after the port is open). Verbs are RBAC's: a GET may be a get, a
//! list or a watch, and the right to one says nothing of the others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A restart takes seconds in which nothing is answered at all.
const LATELY: Duration = Duration::from_secs(30);

/// A right that was taken away stays refused: after this long it is believed.
const DOUBTFUL: Duration = Duration::from_secs(2);

/// How long a refusal is doubted where an answer failed to come just before. On a busy machine
/// roles were seen more than two seconds after the port.
const DOUBTFUL_AFTER_TROUBLE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(crate) struct Recent(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    answers: HashMap<&'static str, Answers>,
    trouble: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Answers {
    fine: Option<Instant>,
    /// The first refusal since.
    first_refused: Option<Instant>,
}

impl Recent {
    pub fn fine(&self, verb: &'static str, now: Instant) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.answers.insert(verb, Answers { fine: Some(now), first_refused: None });
    }

    /// Notes that no answer came, or none of use.
    pub fn trouble(&self, now: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(now);
    }

    /// Notes that the verb was refused, and says whether it may be granted in a moment.
    pub fn refused(&self, verb: &'static str, now: Instant) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |at: Option<Instant>| at.is_some_and(|at| now.duration_since(at) < LATELY);
        let trouble = lately(seen.trouble);
        let nothing_was_fine = seen.answers.values().all(|answers| answers.fine.is_none());
        let answers = seen.answers.entry(verb).or_default();
        let first = *answers.first_refused.get_or_insert(now);
        let doubtful = if trouble { DOUBTFUL_AFTER_TROUBLE } else { DOUBTFUL };
        // A verb that was never granted while another was isn't granted, whatever trouble there is: a Role without patch.
        let was_granted = answers.fine.is_some() || nothing_was_fine;
        ((trouble && was_granted) || lately(answers.fine)) && now.duration_since(first) < doubtful
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_doubted_for_a_moment_after_fine_answers_of_the_same_verb() {
        let (recent, start) = (Recent::default(), Instant::now());
        assert!(!recent.refused("patch", start), "it was never granted");
        recent.fine("get", start);
        assert!(!recent.refused("patch", start));
        recent.fine("patch", start);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(recent.refused("patch", after(5)) && recent.refused("patch", after(6)));
        assert!(!recent.refused("patch", after(8)), "it stays refused");
        recent.fine("patch", after(9));
        assert!(recent.refused("patch", after(10)));
        assert!(!recent.refused("get", after(60)));
        recent.fine("patch", after(50));
        recent.trouble(after(90));
        assert!(!recent.refused("update", after(91)), "it was never granted");
        assert!(recent.refused("patch", after(91)) && recent.refused("patch", after(100)));
        assert!(!recent.refused("patch", after(102)), "it stays refused");
        let starting = Recent::default();
        starting.trouble(start);
        assert!(starting.refused("get", after(1)), "nothing was ever granted: it may have just begun");
    }
}
