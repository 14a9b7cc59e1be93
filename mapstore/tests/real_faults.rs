//! W4 and W5 on the real API server, which MAPSTORE_APISERVER_DIR names: the tests of `faults.rs`, whose text says what
//! they prove.

mod support;

use mapstore_harness::Kind::Real;
use support::writes;

#[test]
fn a_lost_answer_is_never_a_false_one() {
    writes::a_lost_answer_is_never_a_false_one(Real);
}

#[test]
fn a_write_in_doubt_is_never_called_a_failure() {
    writes::a_write_in_doubt_is_never_called_a_failure(Real);
}

#[test]
fn a_cancelled_write_is_not_remembered_as_anything() {
    writes::a_cancelled_write_is_not_remembered_as_anything(Real);
}

#[test]
fn an_answer_lost_with_its_connection() {
    writes::an_answer_lost_with_its_connection(Real);
}

#[test]
fn no_acknowledged_write_is_lost() {
    writes::no_acknowledged_write_is_lost(Real);
}

#[test]
fn a_refused_write_leaves_nothing_behind() {
    writes::a_refused_write_leaves_nothing_behind(Real);
}

#[test]
fn a_first_write_whose_answer_is_lost() {
    writes::a_first_write_whose_answer_is_lost(Real);
}

#[test]
fn the_same_without_the_right_to_patch() {
    writes::the_same_without_the_right_to_patch(Real);
}

#[test]
fn a_call_that_ends_early_tells_the_truth() {
    writes::a_call_that_ends_early_tells_the_truth(Real);
}
