//! The table: cases, their variants and steps, as data. Reading it finds every slip that can be found without a
//! cluster: an unknown word, an id twice, a verb without such a field.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::object::{Inspection, Outside};
use crate::spec::Spec;

/// The files of `cases/`, compiled in: results and table can't come from different trees.
const FILES: &[(&str, &str)] = &[
    ("reads.yaml", include_str!("../cases/reads.yaml")),
    ("writes.yaml", include_str!("../cases/writes.yaml")),
    ("batches.yaml", include_str!("../cases/batches.yaml")),
    ("updates.yaml", include_str!("../cases/updates.yaml")),
    ("values.yaml", include_str!("../cases/values.yaml")),
    ("keys.yaml", include_str!("../cases/keys.yaml")),
    ("names.yaml", include_str!("../cases/names.yaml")),
    ("seed.yaml", include_str!("../cases/seed.yaml")),
    ("text.yaml", include_str!("../cases/text.yaml")),
    ("sizes.yaml", include_str!("../cases/sizes.yaml")),
    ("others.yaml", include_str!("../cases/others.yaml")),
    ("exclusive.yaml", include_str!("../cases/exclusive.yaml")),
    ("roles.yaml", include_str!("../cases/roles.yaml")),
    ("refusals.yaml", include_str!("../cases/refusals.yaml")),
    ("config.yaml", include_str!("../cases/config.yaml")),
    ("environment.yaml", include_str!("../cases/environment.yaml")),
    ("time.yaml", include_str!("../cases/time.yaml")),
];

#[derive(Debug)]
pub struct Table {
    pub cases: Vec<Case>,
    /// Changes with every change of the table.
    pub fingerprint: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    None,
    Exclusive,
}

/// What a case needs beyond the other cases' rights and world: runs that give less leave it out.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// It uses a namespace that isn't its own, where a Role gives no right.
    AnotherNamespace,
    /// It is about a map that isn't there, or about making one.
    AMissingMap,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub id: String,
    #[serde(default)]
    pub needs: Vec<Need>,
    /// What the id can't say.
    #[serde(default)]
    pub about: String,
    #[serde(default = "both")]
    pub cache: Vec<Cache>,
    /// A case with an environment gets a runner process of its own.
    pub env: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "steps")]
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub action: Action,
    pub expected: Expected,
    /// Only in this variant.
    pub only: Option<Cache>,
    pub repeat: usize,
    pub within_ms: Option<u64>,
    /// As the table has it, for messages.
    pub source: String,
}

#[derive(Clone, Debug)]
pub enum Expected {
    Ok(Map<String, Value>),
    Err(Failure),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    pub code: String,
    pub status: Option<u64>,
    pub retryable: Option<bool>,
    pub used: Option<u64>,
    pub limit: Option<u64>,
    pub subject: Option<Spec>,
    #[serde(default)]
    pub message: Vec<String>,
    #[serde(default)]
    pub not_message: Vec<String>,
}

/// What a step does: ask the runner, or change or look at what is around it.
#[derive(Clone, Debug)]
pub enum Action {
    Call(Call),
    Around(Around),
}

#[derive(Clone, Debug)]
pub struct Call {
    pub verb: String,
    pub fields: Map<String, Value>,
    /// What `apply` applies.
    pub batch: Vec<Operation>,
}

/// The name of one operation, and its fields.
pub type Operation = (String, Map<String, Value>);

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Around {
    Outside(Box<Outside>),
    Server(Box<Inspection>),
    User(UserSpec),
    Namespace(String),
    TerminateNamespace(Empty),
    Quota(Quota),
    ForbidKey(Empty),
    Kubeconfig(KubeconfigSpec),
    File(FileSpec),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    pub configmaps: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    pub name: String,
    #[serde(default)]
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    pub verbs: Vec<String>,
    pub resource_names: Option<Vec<String>>,
}

/// The administrator's kubeconfig (or a user's) with changes. `cluster` and `context` are merged in; `user` replaces
/// the credentials; `top` is merged into the file itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubeconfigSpec {
    pub name: String,
    pub of: Option<String>,
    #[serde(default)]
    pub cluster: Value,
    pub user: Option<Value>,
    #[serde(default)]
    pub context: Value,
    #[serde(default)]
    pub top: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    pub name: String,
    pub content: Option<Spec>,
    #[serde(default)]
    pub executable: bool,
    #[serde(default)]
    pub remove: bool,
}

/// The protocol's verbs and the fields that each may carry. `open` and `verify_connection` get the case's namespace,
/// map, kubeconfig and cache unless the table says otherwise.
const VERBS: &[(&str, &[&str])] = &[
    (
        "open",
        &[
            "store",
            "name",
            "namespace",
            "kubeconfig",
            "context",
            "cache",
            "timeout_ms",
            "text_values",
            "binary_only",
            "strict_lookup",
            "cancel",
        ],
    ),
    (
        "verify_connection",
        &["name", "namespace", "kubeconfig", "context", "cache", "timeout_ms", "strict_lookup", "cancel"],
    ),
    ("get", &["store", "key", "timeout_ms", "cancel"]),
    ("contains", &["store", "key", "timeout_ms", "cancel"]),
    ("delete", &["store", "key", "timeout_ms", "cancel"]),
    ("set", &["store", "key", "value", "timeout_ms", "cancel"]),
    ("force_set", &["store", "key", "value", "timeout_ms", "cancel"]),
    ("apply", &["store", "batch", "timeout_ms", "cancel"]),
    ("compare_and_set", &["store", "key", "expected", "value", "timeout_ms", "cancel"]),
    ("update", &["store", "key", "append", "timeout_ms", "cancel"]),
    ("keys", &["store", "timeout_ms", "cancel"]),
    ("len", &["store", "timeout_ms", "cancel"]),
    ("truncate", &["store", "timeout_ms", "cancel"]),
    ("refresh", &["store", "timeout_ms", "cancel"]),
    ("usage", &["store", "timeout_ms", "cancel"]),
    ("snapshot", &["store", "timeout_ms", "cancel"]),
    ("close", &["store"]),
    ("cancel_new", &["token"]),
    ("cancel", &["token"]),
];

/// What a batch may be made of, in the field `batch` of `apply`: `{set: {key: a, value: b}}`, `{delete: {key: a}}`.
const OPERATIONS: &[(&str, &[&str])] = &[
    ("set", &["key", "value"]),
    ("force_set", &["key", "value"]),
    ("delete", &["key"]),
    ("truncate", &[]),
    ("if_absent", &["key"]),
    ("if_present", &["key"]),
    ("if_equals", &["key", "value"]),
    ("if_revision", &["revision"]),
];

impl Need {
    pub fn from_name(name: &str) -> Result<Need, String> {
        parse(Value::from(name))
    }
}

impl Cache {
    pub fn name(self) -> &'static str {
        match self {
            Cache::None => "none",
            Cache::Exclusive => "exclusive",
        }
    }
}

fn both() -> Vec<Cache> {
    vec![Cache::None, Cache::Exclusive]
}

impl Table {
    pub fn built_in() -> Result<Table, String> {
        Table::parse(FILES)
    }

    pub fn parse(files: &[(&str, &str)]) -> Result<Table, String> {
        let mut cases = Vec::new();
        let mut texts = String::new();
        for (name, text) in files {
            let list: Vec<Value> = serde_saphyr::from_str(text).map_err(|e| format!("{name}: {e}"))?;
            for value in list {
                let id = value["id"].clone();
                let case: Case = serde_json::from_value(value).map_err(|e| format!("{name}, {id}: {e}"))?;
                cases.push(case);
            }
            texts += text;
        }
        let table = Table { cases, fingerprint: fingerprint(&texts) };
        table.check()?;
        Ok(table)
    }

    /// The id of each variant, in the table's order.
    pub fn variants(&self) -> impl Iterator<Item = (String, &Case, Cache)> {
        self.cases.iter().flat_map(|case| {
            let ids = case.cache.iter();
            ids.map(move |cache| (format!("{}/{}", case.id, cache.name()), case, *cache))
        })
    }

    fn check(&self) -> Result<(), String> {
        let mut seen = HashSet::new();
        for case in &self.cases {
            let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if case.id.is_empty() || !case.id.chars().all(kebab) {
                return Err(format!("{:?} is not a kebab-case id", case.id));
            }
            if !seen.insert(&case.id) {
                return Err(format!("the id {} is there twice", case.id));
            }
            if case.cache.is_empty() || case.steps.is_empty() {
                return Err(format!("{} has no variant or no step", case.id));
            }
        }
        Ok(())
    }
}

/// FNV-1a: enough to notice that a results file is of another table.
fn fingerprint(text: &str) -> String {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

fn steps<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Step>, D::Error> {
    let values = Vec::<Map<String, Value>>::deserialize(deserializer)?;
    values
        .into_iter()
        .enumerate()
        .map(|(i, value)| step(value).map_err(|e| serde::de::Error::custom(format!("step {}: {e}", i + 1))))
        .collect()
}

/// `{ACTION: …, ok|err: …, only: …, repeat: …, within_ms: …}`
fn step(mut value: Map<String, Value>) -> Result<Step, String> {
    let source = Value::Object(value.clone()).to_string();
    let mut take = |name: &str| value.remove(name);
    let expected = match (take("ok"), take("err")) {
        (None, None) => Expected::Ok(Map::new()),
        (Some(ok), None) => Expected::Ok(parse(ok)?),
        (None, Some(Value::String(code))) => Expected::Err(parse(serde_json::json!({"code": code}))?),
        (None, Some(err)) => Expected::Err(parse(err)?),
        (Some(_), Some(_)) => return Err("both ok and err".to_owned()),
    };
    let only = take("only").map(parse).transpose()?;
    let repeat = take("repeat").map(parse).transpose()?.unwrap_or(1);
    let within_ms = take("within_ms").map(parse).transpose()?;
    let mut actions = value.into_iter();
    let (Some((name, body)), None) = (actions.next(), actions.next()) else {
        return Err("not exactly one action".to_owned());
    };
    Ok(Step { action: action(&name, body)?, expected, only, repeat, within_ms, source })
}

fn action(name: &str, body: Value) -> Result<Action, String> {
    let Some((verb, known)) = VERBS.iter().find(|(verb, _)| *verb == name) else {
        return parse(serde_json::json!({ name: body })).map(Action::Around);
    };
    let mut fields = known_fields(verb, known, body)?;
    let batch = fields.remove("batch").map_or(Ok(Vec::new()), operations)?;
    Ok(Action::Call(Call { verb: name.to_owned(), fields, batch }))
}

fn known_fields(of: &str, known: &[&str], body: Value) -> Result<Map<String, Value>, String> {
    let fields: Map<String, Value> = parse(body)?;
    match fields.keys().find(|field| !known.contains(&field.as_str())) {
        Some(unknown) => Err(format!("{of} has no field {unknown}")),
        None => Ok(fields),
    }
}

fn operations(list: Value) -> Result<Vec<Operation>, String> {
    let list: Vec<Map<String, Value>> = parse(list)?;
    let operation = |(name, body): (String, Value)| {
        let known = OPERATIONS.iter().find(|(known, _)| *known == name);
        let (_, known) = known.ok_or_else(|| format!("a batch has no {name}"))?;
        Ok((name.clone(), known_fields(&name, known, body)?))
    };
    list.into_iter().flatten().map(operation).collect()
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|e| e.to_string())
}
