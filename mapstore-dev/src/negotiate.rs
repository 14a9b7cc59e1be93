//! Which form the answer takes (Accept) and which form the body has
//! (Content-Type). Twice, as in the real server: first the router's check
//! (go-restful), then the API's own (endpoints/handlers/negotiation). Pure.

use crate::status::{Details, Status};

/// The form of an answer. The version is meta.k8s.io's, v1 or v1beta1.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    Whole,
    Partial(String),
    PartialList(String),
    Table(String),
}

/// What the real server could produce, for its refusals.
const TYPES: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const STREAMS: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

struct Clause {
    media_type: String,
    parameters: Vec<(String, String)>,
}

impl Clause {
    fn is_json(&self) -> bool {
        matches!(self.media_type.as_str(), "application/json" | "application/*" | "*/*")
    }

    fn parameter(&self, name: &str) -> &str {
        let found = self.parameters.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, v)| v)
    }

    /// None: asks for what isn't there, try the next clause.
    fn form(&self) -> Option<Form> {
        let conversion = ["as", "g", "v"].map(|n| self.parameter(n));
        if !matches!(self.parameter("sv"), "" | "v1") || !matches!(self.parameter("stream"), "" | "watch") {
            return None;
        }
        let version = || conversion[2].to_string();
        match conversion {
            ["", "", ""] => Some(Form::Whole),
            [kind, "meta.k8s.io", "v1" | "v1beta1"] => match kind {
                "Table" => Some(Form::Table(version())),
                "PartialObjectMetadata" => Some(Form::Partial(version())),
                "PartialObjectMetadataList" => Some(Form::PartialList(version())),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Accept's clauses, best first.
fn clauses(accept: &str) -> Vec<Clause> {
    let mut list: Vec<(f64, bool, Clause)> = Vec::new();
    for clause in accept.split(',') {
        let mut parts = clause.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_string();
        let mut quality = 1.0;
        let mut parameters = Vec::new();
        for (name, value) in parts.filter_map(|p| p.split_once('=')) {
            match name.trim() {
                "q" => quality = value.trim().parse().unwrap_or(1.0),
                name => parameters.push((name.into(), value.trim().into())),
            }
        }
        let wildcard = media_type.contains('*');
        list.push((quality, wildcard, Clause { media_type, parameters }));
    }
    list.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    list.into_iter().map(|(_, _, clause)| clause).collect()
}

/// What go-restful asks before any handler runs: is one of the media types
/// producible at all? `listing` routes can also stream.
pub fn route(accept: &str, listing: bool) -> Result<(), Status> {
    let accept = if accept.is_empty() { "*/*" } else { accept };
    let known = |c: &str| c == "*/*" || TYPES.split(", ").any(|t| t == c);
    if accept.split(',').any(|c| known(c.split(';').next().unwrap_or_default().trim())) {
        return Ok(());
    }
    let mut available = TYPES.to_string();
    if listing {
        available.push_str(&format!(", {STREAMS}"));
    }
    let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
    Err(Status::not_acceptable(message, Some(Details::default())))
}

/// The form of the answer; JSON is all there is here.
pub fn output(accept: &str) -> Result<Form, Status> {
    if accept.is_empty() {
        return Ok(Form::Whole);
    }
    let clauses = clauses(accept);
    let form = clauses.iter().filter(|c| c.is_json()).find_map(Clause::form);
    // Naming what was just refused would help nobody.
    let foreign = clauses.iter().any(|c| c.media_type != "application/json" && TYPES.contains(&c.media_type));
    let accepted = if foreign { "application/json" } else { TYPES };
    form.ok_or_else(|| {
        let message = format!("only the following media types are accepted: {accepted}");
        Status::not_acceptable(message, None)
    })
}

fn bare(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// The encodings of a POST's, PUT's or DELETE's body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Encoding {
    Json,
    Protobuf,
}

/// How the body is encoded.
pub fn input(content_type: &str) -> Result<Encoding, Status> {
    let accepted = match bare(content_type) {
        "" | "application/json" => return Ok(Encoding::Json),
        "application/vnd.kubernetes.protobuf" => return Ok(Encoding::Protobuf),
        // Naming what was just refused would help nobody.
        "application/yaml" => "application/json, application/vnd.kubernetes.protobuf",
        _ => TYPES,
    };
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    );
    Err(Status::unsupported_media_type(message, None))
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
}

/// The type of a PATCH.
pub fn patch(content_type: &str) -> Result<PatchType, Status> {
    match bare(content_type) {
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/strategic-merge-patch+json" => Ok(PatchType::Strategic),
        "application/apply-patch+yaml" => {
            let message = "mapstore-dev has no server-side apply - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json";
            Err(Status::unsupported_media_type(message.into(), None))
        }
        _ => {
            let message = "415: Unsupported Media Type";
            Err(Status::unsupported_media_type(message.into(), Some(Details::default())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_can_be() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        assert_eq!(output(kubectl), Ok(Form::Table("v1".into())));
        let partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        assert_eq!(output(partial), Ok(Form::Partial("v1".into())));
        let go = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(output(go), Ok(Form::Whole));
        assert_eq!(output("text/html;q=0.9,*/*;q=0.8"), Ok(Form::Whole));
        assert_eq!(output("application/vnd.kubernetes.protobuf").unwrap_err().code, 406);
        assert_eq!(output("application/json;as=Nonsense;g=meta.k8s.io;v=v1").unwrap_err().code, 406);
        assert_eq!(route("text/html", false).unwrap_err().code, 406);
    }

    #[test]
    fn bodies() {
        assert_eq!(input("application/json; charset=utf-8"), Ok(Encoding::Json));
        assert_eq!(input("text/plain").unwrap_err().code, 415);
        assert_eq!(patch("application/merge-patch+json"), Ok(PatchType::Merge));
        assert!(patch("application/apply-patch+yaml").unwrap_err().message.contains("merge-patch"));
    }
}
