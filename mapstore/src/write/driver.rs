//! The role of taking from a queue. The task that has the role hands it on,
//! whatever happens: if the task is never polled, is dropped or panics, or can't
//! even be started. A queue that says it is driven always has a driver.

use std::sync::Arc;

use crate::host::runtime::Spawner;

/// A queue and what is done with its members.
pub(super) trait Driven: Send + Sync + 'static {
    /// Takes from the queue until it is empty, and says so in the queue.
    fn drive(&self) -> impl Future<Output = ()> + Send;

    /// A driver ended in the middle of something, and another one follows.
    fn lose_track(&self);

    /// Nobody can drive: everyone who waits is answered, and the queue says that nobody drives.
    fn abandon(&self);
}

/// Made when [`Queue::push`](crate::write::queue::Queue::push) says that nobody drives.
pub(super) struct Driver<D: Driven> {
    driven: Arc<D>,
    spawner: Spawner,
    stage: Stage,
}

enum Stage {
    /// The driver's task was not polled yet.
    Waiting,
    Driving,
    Done,
}

impl<D: Driven> Driver<D> {
    pub fn start(driven: Arc<D>, spawner: Spawner) {
        let driver = Driver { driven, spawner: spawner.clone(), stage: Stage::Waiting };
        // A task that is dropped instead of polled drops the driver.
        spawner.spawn(driver.drive());
    }

    async fn drive(mut self) {
        self.stage = Stage::Driving;
        self.driven.drive().await;
        self.stage = Stage::Done;
    }
}

impl<D: Driven> Drop for Driver<D> {
    fn drop(&mut self) {
        match self.stage {
            Stage::Done => {}
            // The requests that were under way have an answer by now; those in the queue get
            // another driver.
            Stage::Driving => {
                self.driven.lose_track();
                Driver::start(self.driven.clone(), self.spawner.clone());
            }
            Stage::Waiting => self.driven.abandon(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    /// Drives as long as it is told, and notes what happens.
    struct Road {
        /// What each driver meets in its turn.
        ahead: Mutex<Vec<&'static str>>,
        told: Mutex<Vec<&'static str>>,
    }

    impl Road {
        fn told(&self, what: &'static str) {
            self.told.lock().unwrap().push(what);
        }
    }

    impl Driven for Road {
        async fn drive(&self) {
            let ahead = self.ahead.lock().unwrap().pop();
            match ahead {
                Some("panic") => panic!("a wall"),
                Some("never") => {
                    self.told("on its way");
                    std::future::pending::<()>().await;
                }
                _ => self.told("done"),
            }
        }

        fn lose_track(&self) {
            self.told("lost track");
        }

        fn abandon(&self) {
            self.told("abandoned");
        }
    }

    fn road(ahead: &[&'static str]) -> Arc<Road> {
        let ahead = ahead.iter().rev().copied().collect();
        Arc::new(Road { ahead: Mutex::new(ahead), told: Mutex::default() })
    }

    fn after(road: &Road, count: usize) -> Vec<&'static str> {
        for _ in 0..2_000 {
            if road.told.lock().unwrap().len() >= count {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        road.told.lock().unwrap().clone()
    }

    #[test]
    fn a_driver_that_panics_is_followed_by_another() {
        let runtime = crate::host::runtime::Runtime::get().unwrap();
        let road = road(&["panic", "panic"]);
        Driver::start(road.clone(), runtime.spawner().clone());
        assert_eq!(after(&road, 3), ["lost track", "lost track", "done"]);
    }

    #[test]
    fn a_driver_whose_task_is_dropped_leaves_nobody_waiting() {
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let spawner = Spawner::of(&tokio);
        let unpolled = road(&[]);
        Driver::start(unpolled.clone(), spawner.clone());
        let under_way = road(&["never"]);
        tokio.block_on(async {
            Driver::start(under_way.clone(), spawner.clone());
            tokio::task::yield_now().await;
        });
        assert_eq!(after(&unpolled, 1), ["done"]);
        assert_eq!(after(&under_way, 1), ["on its way"]);
        let waiting = road(&[]);
        Driver::start(waiting.clone(), spawner.clone());
        drop(tokio);
        assert_eq!(after(&under_way, 3), ["on its way", "lost track", "abandoned"]);
        assert_eq!(after(&waiting, 1), ["abandoned"]);
        let late = road(&[]);
        Driver::start(late.clone(), spawner);
        assert_eq!(after(&late, 1), ["abandoned"]);
    }
}
