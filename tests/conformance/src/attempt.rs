//! One variant of one case on one cluster with one runner: its steps in order, up to the first that differs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mapstore_harness::{Cluster, Lateness};
use serde_json::Value;

use crate::expect::compare;
use crate::object::{DEFAULT_MAP, show};
use crate::results::Outcome;
use crate::runner::{Runner, RunnerSpec};
use crate::spec::{Spec, Variables, substitute};
use crate::table::{Action, Cache, Call, Case, Step};
use crate::wire::Line;
use crate::world::{Trouble, World};

/// The library's own, which is only said to a slow runner.
const DEFAULT_TIMEOUT_MS: u32 = 10_000;

/// The calls that are told where the map is.
const OPENING: [&str; 2] = ["open", "verify_connection"];

/// A place for runner processes: a worker keeps one from case to case.
pub struct Seat<'a> {
    pub spec: &'a RunnerSpec,
    pub patience: Duration,
    pub slow: u32,
    pub idle: Option<Runner>,
}

impl<'a> Seat<'a> {
    pub fn new(spec: &'a RunnerSpec, patience: Duration, slow: u32) -> Seat<'a> {
        Seat { spec, patience: patience * slow, slow, idle: None }
    }

    /// Runs the variant. The runner stays for the next one only if this one passed: a failed one may have left
    /// anything behind.
    pub fn attempt(&mut self, cluster: &Cluster, case: &Case, cache: Cache) -> Outcome {
        let world = match World::new(cluster) {
            Ok(world) => world,
            Err(trouble) => return trouble.into(),
        };
        let mut attempt = Attempt { seat: self, case, cache, world, runner: None, stores: BTreeSet::new() };
        match attempt.run() {
            Ok(()) => Outcome::Passed,
            Err(trouble) => trouble.into(),
        }
    }

    /// Ends the runner; an error if it doesn't end well.
    pub fn leave(&mut self) -> Result<(), String> {
        self.idle.take().map_or(Ok(()), Runner::quit)
    }
}

impl From<Trouble> for Outcome {
    fn from(trouble: Trouble) -> Outcome {
        match trouble {
            Trouble::NotRunnable(why) => Outcome::NotRunnable(why),
            Trouble::Failed(why) => Outcome::Failed(why),
        }
    }
}

struct Attempt<'a, 'b, 'c> {
    seat: &'a mut Seat<'b>,
    case: &'a Case,
    cache: Cache,
    world: World<'c>,
    runner: Option<Runner>,
    stores: BTreeSet<u64>,
}

impl Attempt<'_, '_, '_> {
    fn run(&mut self) -> Result<(), Trouble> {
        for (number, step) in self.case.steps.iter().enumerate() {
            if step.only.is_some_and(|only| only != self.cache) {
                continue;
            }
            for _ in 0..step.repeat {
                self.step(step).map_err(|trouble| at(number + 1, step, trouble))?;
            }
        }
        self.clean_up().map_err(|e| Trouble::Failed(format!("afterwards: {e}")))
    }

    fn step(&mut self, step: &Step) -> Result<(), Trouble> {
        match &step.action {
            Action::Around(around) => self.world.perform(around),
            Action::Call(call) => Ok(self.call(call, step)?),
        }
    }

    fn call(&mut self, call: &Call, step: &Step) -> Result<(), String> {
        let requests = self.requests(call)?;
        if OPENING.contains(&call.verb.as_str()) {
            self.world.prepare()?;
        }
        // A limit is for an idle machine: what this one is late is added.
        let lateness = step.within_ms.map(|_| Lateness::watch());
        let began = Instant::now();
        let answer = self.ask(&requests)?;
        let took = began.elapsed();
        let compared = {
            let mut remembered = std::mem::take(&mut *self.world.remembered.borrow_mut());
            let compared = compare(&call.verb, &answer, &step.expected, &self.world, &mut remembered);
            *self.world.remembered.borrow_mut() = remembered;
            compared
        };
        compared
            .and_then(|()| requests.iter().try_for_each(|request| self.no_secret(request, &answer)))
            .and_then(|()| in_time(took, self.allowed(step, lateness)))
            .map_err(|difference| format!("{difference}\n    seen: {}", tell(&answer)))
    }

    /// How long the step may take here and now: the call's two threads, the runner's that reads and the driver's.
    fn allowed(&self, step: &Step, lateness: Option<Lateness>) -> Option<Duration> {
        let limit = Duration::from_millis(step.within_ms?) * self.seat.slow;
        Some(limit + lateness.map_or(Duration::ZERO, |lateness| 2 * lateness.of_a_call()))
    }

    /// Asks one after the other, up to the first that is refused; the last answer counts.
    fn ask(&mut self, requests: &[Line]) -> Result<Line, String> {
        let mut answer = Line::new("ok");
        for request in requests {
            answer = self.runner()?.ask(request)?;
            self.keep_books(request, &answer);
            if answer.verb != "ok" {
                break;
            }
        }
        Ok(answer)
    }

    /// What the runner is asked for a call: one request, but a batch is put together first.
    fn requests(&self, call: &Call) -> Result<Vec<Line>, String> {
        let mut requests = Vec::new();
        if call.verb == "apply" {
            requests.push(Line::new("batch").with("op", "new"));
            for (name, fields) in &call.batch {
                let line = Line::new("batch").with("op", name.as_str());
                requests.push(self.with(line, fields.iter().map(|(name, value)| (name.as_str(), value)))?);
            }
        }
        requests.push(self.request(call)?);
        Ok(requests)
    }

    /// The request with the case's defaults: what a field of the table doesn't say.
    fn request(&self, call: &Call) -> Result<Line, String> {
        let mut fields: BTreeMap<&str, Value> = BTreeMap::new();
        if OPENING.contains(&call.verb.as_str()) {
            fields.insert("name", DEFAULT_MAP.into());
            fields.insert("namespace", "${namespace}".into());
            fields.insert("kubeconfig", "${kubeconfig}".into());
            fields.insert("cache", self.cache.name().into());
            if self.seat.slow > 1 {
                fields.insert("timeout_ms", (self.seat.slow * DEFAULT_TIMEOUT_MS).into());
            }
        }
        if !["verify_connection", "cancel_new", "cancel"].contains(&call.verb.as_str()) {
            fields.insert("store", 1.into());
        }
        fields.extend(call.fields.iter().map(|(name, value)| (name.as_str(), value.clone())));
        self.with(Line::new(&call.verb), fields.iter().map(|(name, value)| (*name, value)))
    }

    fn with<'v>(
        &self,
        mut line: Line,
        fields: impl Iterator<Item = (&'v str, &'v Value)>,
    ) -> Result<Line, String> {
        for (name, value) in fields {
            if let Some(bytes) = self.bytes(value)? {
                line = line.with(name, bytes);
            }
        }
        Ok(line)
    }

    fn bytes(&self, value: &Value) -> Result<Option<Vec<u8>>, String> {
        Ok(match value {
            Value::Null => None,
            Value::Bool(flag) => Some(u8::from(*flag).to_string().into_bytes()),
            Value::Number(number) => Some(number.to_string().into_bytes()),
            spec => {
                let spec: Spec =
                    serde_json::from_value(spec.clone()).map_err(|e| format!("the table: {e}"))?;
                Some(spec.bytes(&self.world)?)
            }
        })
    }

    fn keep_books(&mut self, request: &Line, answer: &Line) {
        if let ("open", "ok", Some(store)) = (&*request.verb, &*answer.verb, request.number("store")) {
            self.stores.insert(store);
        }
    }

    /// No message holds a token or a stored value.
    fn no_secret(&self, request: &Line, answer: &Line) -> Result<(), String> {
        const TELLING: usize = 6; // a shorter value may stand in a message by chance
        let said = format!("{:?} {:?}", answer.text("message"), answer.text("subject"));
        let value = request.text("value").filter(|value| value.len() >= TELLING);
        let start = value.map(|value| value.chars().take(40).collect::<String>());
        match self.world.secrets().chain(&start).find(|secret| said.contains(*secret)) {
            Some(_) => Err("the message holds a token or the value".to_owned()),
            None => Ok(()),
        }
    }

    /// The runner, started at the first step that needs it: the environment may name what earlier steps made.
    fn runner(&mut self) -> Result<&mut Runner, String> {
        if self.runner.is_none() {
            let seat = &mut self.seat;
            self.runner = match &self.case.env {
                None => seat.idle.take(),
                Some(_) => None,
            };
        }
        if self.runner.is_none() {
            let env = self.environment()?;
            self.runner = Some(Runner::start(self.seat.spec, &env, self.seat.patience)?);
        }
        Ok(self.runner.as_mut().expect("just started"))
    }

    fn environment(&self) -> Result<BTreeMap<String, String>, String> {
        let variables: &dyn Variables = &self.world;
        let own = self.case.env.iter().flatten();
        own.map(|(name, value)| Ok((name.clone(), substitute(value, variables)?))).collect()
    }

    /// Frees what the case opened, and gives the runner back.
    fn clean_up(&mut self) -> Result<(), String> {
        let Some(mut runner) = self.runner.take() else {
            return Ok(());
        };
        for store in &self.stores {
            let free = Line::new("free").with("store", store.to_string());
            let answer = runner.ask(&free)?;
            if answer.verb != "ok" {
                return Err(format!("free: {}", tell(&answer)));
            }
        }
        if let Some(text) = runner.printed() {
            return Err(format!("the runner printed: {}", text.trim_end()));
        }
        match self.case.env {
            None => self.seat.idle = Some(runner),
            Some(_) => runner.quit()?,
        }
        Ok(())
    }
}

fn in_time(took: Duration, limit: Option<Duration>) -> Result<(), String> {
    match limit {
        Some(limit) if took > limit => Err(format!("it took {took:?}, more than {limit:?}")),
        _ => Ok(()),
    }
}

fn at(number: usize, step: &Step, trouble: Trouble) -> Trouble {
    let source: String = step.source.chars().take(300).collect();
    match trouble {
        Trouble::Failed(why) => Trouble::Failed(format!("step {number} {source}\n    {why}")),
        Trouble::NotRunnable(why) => Trouble::NotRunnable(why),
    }
}

/// An answer for a message: long values cut.
fn tell(answer: &Line) -> String {
    let field = |name: &str| {
        let value = answer.bytes(name).map_or("(a list)".to_owned(), |bytes| match name {
            "message" | "subject" => String::from_utf8_lossy(&bytes).into_owned(),
            _ => show(&bytes),
        });
        format!("{name}={value}")
    };
    let fields: Vec<String> = answer.names().map(field).collect();
    format!("{} {}", answer.verb, fields.join(" "))
}
