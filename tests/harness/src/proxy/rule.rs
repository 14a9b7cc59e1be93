//! What is to happen to which request. A rule has two halves: what the server gets ([`Delivery`]) and what the client
//! hears ([`Hearing`]).
//!
//! | the server gets it | `Answer`              | `Close`              | `Instead`                   |
//! |--------------------|-----------------------|----------------------|-----------------------------|
//! | `Now`              | passes                | the answer is lost   | 504 after the commit        |
//! | `Held`             | late, then the answer | cut at once, comes late | refused at once, comes late |
//! | `Half`             | silence              | cut in the middle    | the same, and it says so    |
//! | `Never`            | silence               | cut before it is sent | the proxy answers by itself |
//!
//! A client that goes away while its request is held doesn't take it along: it is delivered when it is released.

use std::time::Duration;

use serde::Deserialize;

use super::request::Request;

/// When the server gets the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    #[default]
    Now,
    /// When the rule is released.
    Held,
    HeldMs(u64),
    /// The first half of the request, then the end of the connection.
    Half,
    Never,
}

/// What the client hears of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hearing {
    #[default]
    Answer,
    /// The answer, when the rule is released.
    AnswerHeld,
    AnswerHeldMs(u64),
    /// The answer, one byte in so many milliseconds.
    TrickleMs(u64),
    /// The first half of the answer's body, then the end of the connection.
    Half,
    /// The connection ends.
    Close,
    Instead(Canned),
}

/// An answer made up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Canned {
    pub status: u16,
    /// Content-Length comes by itself.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The connection ends in the middle of the body.
    pub cut: bool,
}

/// Which request, and what happens to it. Made with [`Rule::on`]; empty texts match everything.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    pub method: String,
    /// What the path has to contain.
    pub path: String,
    /// What the query has to contain.
    pub query: String,
    /// What the query must not contain, if anything.
    pub query_without: String,
    /// The first matching request it holds for: 1 is the next one.
    pub nth: usize,
    /// For how many matching requests.
    pub times: usize,
    pub delivery: Delivery,
    pub hearing: Hearing,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule {
            method: String::new(),
            path: String::new(),
            query: String::new(),
            query_without: String::new(),
            nth: 1,
            times: 1,
            delivery: Delivery::Now,
            hearing: Hearing::Answer,
        }
    }
}

impl Canned {
    pub fn json(status: u16, body: &str) -> Canned {
        Canned::typed(status, "application/json", body)
    }

    pub fn text(status: u16, body: &str) -> Canned {
        Canned::typed(status, "text/plain; charset=utf-8", body)
    }

    pub fn html(status: u16, body: &str) -> Canned {
        Canned::typed(status, "text/html", body)
    }

    fn typed(status: u16, content_type: &str, body: &str) -> Canned {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Canned { status, headers, body: body.to_owned(), cut: false }
    }

    pub fn header(mut self, name: &str, value: &str) -> Canned {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn cut(mut self) -> Canned {
        self.cut = true;
        self
    }

    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Proxy\r\nContent-Length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// As much of the body as is sent.
    pub(super) fn sent(&self) -> &[u8] {
        let all = self.body.as_bytes();
        if self.cut { &all[..all.len() / 2] } else { all }
    }
}

impl Rule {
    pub fn on(method: &str) -> Rule {
        Rule { method: method.to_owned(), ..Rule::default() }
    }

    pub fn path(mut self, part: &str) -> Rule {
        part.clone_into(&mut self.path);
        self
    }

    pub fn query(mut self, part: &str) -> Rule {
        part.clone_into(&mut self.query);
        self
    }

    pub fn query_without(mut self, part: &str) -> Rule {
        part.clone_into(&mut self.query_without);
        self
    }

    pub fn nth(mut self, nth: usize) -> Rule {
        self.nth = nth;
        self
    }

    pub fn times(mut self, times: usize) -> Rule {
        self.times = times;
        self
    }

    pub fn always(self) -> Rule {
        self.times(usize::MAX)
    }

    /// The server gets it when the rule is released.
    pub fn hold(mut self) -> Rule {
        self.delivery = Delivery::Held;
        self
    }

    pub fn hold_for(mut self, time: Duration) -> Rule {
        self.delivery = Delivery::HeldMs(time.as_millis() as u64);
        self
    }

    /// The server never gets it.
    pub fn keep(mut self) -> Rule {
        self.delivery = Delivery::Never;
        self
    }

    /// The server gets the first half of it.
    pub fn halve(mut self) -> Rule {
        self.delivery = Delivery::Half;
        self
    }

    pub fn hearing(mut self, hearing: Hearing) -> Rule {
        self.hearing = hearing;
        self
    }

    /// The client hears nothing but the end of its connection.
    pub fn close(self) -> Rule {
        self.hearing(Hearing::Close)
    }

    pub fn hold_answer(self) -> Rule {
        self.hearing(Hearing::AnswerHeld)
    }

    pub fn trickle(self, interval: Duration) -> Rule {
        self.hearing(Hearing::TrickleMs(interval.as_millis() as u64))
    }

    /// The client hears this instead of the server's answer.
    pub fn instead(self, canned: Canned) -> Rule {
        self.hearing(Hearing::Instead(canned))
    }

    pub(super) fn matches(&self, request: &Request) -> bool {
        let query = request.query();
        (self.method.is_empty() || self.method == request.method())
            && request.path().contains(&self.path)
            && query.contains(&self.query)
            && (self.query_without.is_empty() || !query.contains(&self.query_without))
    }

    /// Whether it holds for the match with this number.
    pub(super) fn holds(&self, number: usize) -> bool {
        number >= self.nth && number - self.nth < self.times
    }
}
