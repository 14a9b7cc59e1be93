//! T4, the write budget. It is the process', so this program has one test only.

mod support;

use std::time::{Duration, Instant};

use mapstore::ErrorKind;
use serde_json::json;
use support::Site;

const KIB: u64 = 1 << 10;

#[test]
fn a_runaway_writer_is_slowed_and_refused_if_it_cannot_wait() {
    let site = Site::dev();
    let maps = site.path().rsplit_once('/').unwrap().0.to_owned();
    for (name, bytes) in [("m", 99 * KIB), ("small", 2 * KIB)] {
        let body = json!({"metadata": {"name": name}, "data": {"fill": "x".repeat(bytes as usize)}});
        site.client().post(&maps, &body).unwrap().success("make the map").unwrap();
    }
    let limited = || site.options().write_budget(300 * KIB).timeout(Duration::from_secs(30));
    let store = limited().open().unwrap();
    // Half of it may go at once.
    let written = store.set("a", "1").unwrap();
    let used = store.usage().unwrap().budget_used;
    assert!((99 * KIB..105 * KIB).contains(&used), "{used}");

    // The next may go in some fifty seconds: that is after the deadline, and is said at once.
    let began = Instant::now();
    let refused = store.set("a", "2").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Overloaded, "{refused}");
    assert!(refused.is_retryable() && refused.to_string().contains(&(300 * KIB).to_string()), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(site.revision(), written.revision.unwrap().as_str());

    // Small maps use little of it: their writes wait for three seconds each, and together.
    let small = mapstore::Options::new("small").kubeconfig(site.kubeconfig("small", None, None));
    let small = small.write_budget(198 * KIB).timeout(Duration::from_secs(30)).open().unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let small = &small;
            scope.spawn(move || small.set(&format!("k{number}"), "x").unwrap());
        }
    });
    small.set("k8", "x").unwrap();
    assert!(began.elapsed() > Duration::from_secs(1), "{:?}: not slowed", began.elapsed());
    let spent = small.usage().unwrap().budget_used - used;
    assert!((4 * KIB..13 * KIB).contains(&spent), "{spent}: eight waiting writes should go together");

    // Whoever allows more isn't slowed by it.
    let generous = site.options().write_budget(u64::MAX).open().unwrap();
    let began = Instant::now();
    for number in 0..5 {
        generous.set("a", number.to_string()).unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(store.set("a", "6").unwrap_err().kind(), ErrorKind::Overloaded);
}
