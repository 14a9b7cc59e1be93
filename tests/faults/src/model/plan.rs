//! The plan of one history. Which processes, which of the faults, who else writes.

use crate::faults::Kind;
use crate::random::Random;

/// The cache modes that clients use. `watched` is added here, to the workers, and to the checker's table of modes.
pub const MODES: [&str; 2] = ["none", "exclusive"];
pub const LANGUAGES: [&str; 3] = ["rust", "go", "python"];

/// The Roles that clients have: all that can help; without one of the two ways to look back, without both; and the one
/// that the Go package github.com/unrolled/mapstore publishes, which has no patch.
pub const RIGHTS: [(u64, &[&str]); 5] = [
    (8, &["get", "patch", "create", "watch", "list"]),
    (3, &["get", "patch", "create", "list"]),
    (3, &["get", "patch", "create", "watch"]),
    (2, &["get", "patch", "create"]),
    (2, &["get", "create", "update", "delete"]),
];

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub processes: Vec<ProcessPlan>,
    pub calls_each: u64,
    pub kinds: Vec<Kind>,
    /// Of a thousand requests so many meet a fault.
    pub permille: u64,
    pub crashes: Vec<Crash>,
    /// The map is there before the first client.
    pub premade: bool,
    /// It is large enough for reads that ask for its metadata first.
    pub large: bool,
    pub foreign: Foreign,
    /// What the clients' Role grants on ConfigMaps.
    pub verbs: &'static [&'static str],
    pub longest_pause_us: u64,
    pub longest_timeout_ms: u64,
}

#[derive(Clone, Debug)]
pub struct ProcessPlan {
    pub name: String,
    pub language: &'static str,
    /// A cache mode for each client.
    pub modes: Vec<&'static str>,
}

/// Who else writes.
#[derive(Clone, Debug)]
pub struct Foreign {
    pub read_modify_write: bool,
    pub deletes_map: bool,
    pub longest_pause_ms: u64,
}

/// What befalls a whole process, after so many milliseconds.
#[derive(Clone, Debug)]
pub enum Crash {
    ServerKilled {
        after: u64,
    },
    ServerPaused {
        after: u64,
        lasts: u64,
    },
    ConnectionsCut {
        after: u64,
    },
    /// The token in the file is another one, and the old one isn't accepted any more.
    TokenRenewed {
        after: u64,
    },
    /// The server's certificate is of another authority, which the file then names.
    CertificateRenewed {
        after: u64,
    },
    ClientStopped {
        after: u64,
        process: usize,
        lasts: u64,
    },
    ClientKilled {
        after: u64,
        process: usize,
    },
}

impl Plan {
    /// `languages`: only these, for builds of which there is one library only.
    pub fn of(seed: u64, languages: &[&'static str]) -> Plan {
        let mut random = Random::new(seed, "plan");
        let processes = processes(&mut random, languages);
        let clients: u64 = processes.iter().map(|process| process.modes.len() as u64).sum();
        let crashes = crashes(&mut random, processes.len());
        let all = Kind::ALL;
        let chosen = random.between(2, 8);
        let kinds = (0..chosen).map(|_| *random.of(&all)).collect();
        Plan {
            seed,
            calls_each: 260 / clients + 1,
            kinds,
            permille: *random.of(&[30, 60, 100, 150]),
            crashes,
            premade: random.percent(60),
            large: random.percent(15),
            foreign: Foreign {
                read_modify_write: random.percent(60),
                deletes_map: random.percent(25),
                longest_pause_ms: *random.of(&[20, 50, 120]),
            },
            verbs: random.weighted(&RIGHTS),
            longest_pause_us: *random.of(&[500, 5_000, 25_000]),
            longest_timeout_ms: *random.of(&[800, 2_000, 4_000]),
            processes,
        }
    }
}

fn processes(random: &mut Random, languages: &[&'static str]) -> Vec<ProcessPlan> {
    let count = random.between(3, 4);
    let first = random.below(languages.len() as u64);
    (0..count)
        .map(|number| {
            let language = languages[((first + number) % languages.len() as u64) as usize];
            // Often one mode for all of a process, sometimes both in one.
            let mode = *random.of(&MODES);
            let mixed = random.percent(20);
            let clients = random.between(if count == 3 { 2 } else { 1 }, 3);
            let modes = (0..clients).map(|_| if mixed { *random.of(&MODES) } else { mode }).collect();
            ProcessPlan { name: format!("p{number}"), language, modes }
        })
        .collect()
}

fn crashes(random: &mut Random, processes: usize) -> Vec<Crash> {
    let mut crashes = Vec::new();
    let after = |random: &mut Random| random.between(100, 1_500);
    if random.percent(20) {
        crashes.push(Crash::ServerKilled { after: after(random) });
    }
    if random.percent(12) {
        crashes.push(Crash::ServerPaused { after: after(random), lasts: random.between(300, 4_500) });
    }
    if random.percent(30) {
        crashes.extend((0..random.between(1, 3)).map(|_| Crash::ConnectionsCut { after: after(random) }));
    }
    if random.percent(12) {
        crashes.push(Crash::TokenRenewed { after: after(random) });
    }
    if random.percent(12) {
        crashes.push(Crash::CertificateRenewed { after: after(random) });
    }
    let process = random.below(processes as u64) as usize;
    if random.percent(12) {
        let lasts = random.between(300, 4_500);
        crashes.push(Crash::ClientStopped { after: after(random), process, lasts });
    }
    if random.percent(12) {
        crashes.push(Crash::ClientKilled { after: after(random), process });
    }
    crashes
}
