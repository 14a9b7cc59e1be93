//! Every fault of a request that there is: its name, which requests it can befall, and the proxy's rule for it.

use std::time::Duration;

use mapstore_harness::proxy::{Canned, Hearing, Rule};

use crate::random::Random;

/// What a request is about, as far as faults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Write,
    Read,
    /// LIST, at an exact revision or not.
    List,
    Watch,
}

macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($kind,)* }
        impl Kind {
            pub const ALL: [Kind; [$($name),*].len()] = [$(Kind::$kind),*];
            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    Delayed "delayed",
    LateAfterGivingUp "delivered after the client gave up",
    CutThenDelivered "cut, delivered later",
    CutBefore "cut before it reached the server",
    CutDuring "cut in the middle of the request",
    CutAfter "cut after it reached the server",
    CutAnswer "answer cut",
    Trickled "answer trickled",
    SilentBefore "silence, never delivered",
    SilentAfter "silence after delivery",
    Conflict "409",
    SlowDown "429",
    SlowDownLater "429 with Retry-After",
    SlowDownText "429 in text/plain",
    Internal "500",
    InternalAfter "500 after the commit",
    BadGateway "502 in HTML",
    BadGatewayAfter "502 in HTML after the commit",
    Unavailable "503",
    UnavailableLater "503, delivered later",
    GatewayTimeout "504",
    GatewayTimeoutAfter "504 after the commit",
    GatewayTimeoutLater "504, delivered later",
    Unauthorized "401",
    WatchExpired "watch: 410 in a 200",
    WatchGone "watch: 410",
    WatchSilent "watch: silence",
    WatchTruncated "watch: truncated frame",
    WatchEnded "watch: ended early",
    ListGone "list: 410",
    ListTooNew "list: 504 too large a revision",
}

impl Kind {
    /// Whether it can befall such a request.
    pub fn befalls(self, class: Class) -> bool {
        match self {
            Kind::Conflict => class == Class::Write,
            Kind::WatchExpired
            | Kind::WatchGone
            | Kind::WatchSilent
            | Kind::WatchTruncated
            | Kind::WatchEnded => class == Class::Watch,
            Kind::ListGone | Kind::ListTooNew => class == Class::List,
            Kind::Trickled => class != Class::Watch,
            _ => true,
        }
    }

    pub fn rule(self, random: &mut Random) -> Rule {
        let any = Rule::on("");
        let ms = Duration::from_millis;
        match self {
            Kind::Delayed => any.hold_for(ms(random.between(5, 300))),
            Kind::LateAfterGivingUp => any.hold_for(ms(random.between(1_000, 3_000))),
            Kind::CutThenDelivered => any.hold_for(ms(random.between(1, 1_500))).close(),
            Kind::CutBefore => any.keep().close(),
            Kind::CutDuring => any.halve().close(),
            Kind::CutAfter => any.close(),
            Kind::CutAnswer | Kind::WatchTruncated => any.hearing(Hearing::Half),
            Kind::Trickled => any.trickle(ms(1)),
            Kind::SilentBefore => any.keep(),
            Kind::SilentAfter | Kind::WatchSilent => any.hearing(Hearing::AnswerHeldMs(10_000)),
            Kind::WatchEnded => any.keep().instead(Canned::json(200, "")),
            Kind::UnavailableLater | Kind::GatewayTimeoutLater => {
                any.hold_for(ms(random.between(1, 1_500))).instead(self.answer())
            }
            Kind::InternalAfter | Kind::BadGatewayAfter | Kind::GatewayTimeoutAfter => {
                any.instead(self.answer())
            }
            _ => any.keep().instead(self.answer()),
        }
    }

    fn answer(self) -> Canned {
        match self {
            Kind::Conflict => status(409, "Conflict", "the object has been modified"),
            Kind::SlowDown => status(429, "TooManyRequests", "too many requests"),
            Kind::SlowDownLater => {
                status(429, "TooManyRequests", "too many requests").header("Retry-After", "1")
            }
            Kind::SlowDownText => {
                Canned::text(429, "Too many requests, please try again later.\n").header("Retry-After", "1")
            }
            Kind::Internal | Kind::InternalAfter => status(500, "InternalError", "an error on the server"),
            Kind::BadGateway | Kind::BadGatewayAfter => {
                Canned::html(502, "<html><body><h1>502 Bad Gateway</h1></body></html>")
            }
            Kind::Unavailable | Kind::UnavailableLater => {
                status(503, "ServiceUnavailable", "the server is currently unable to handle the request")
            }
            Kind::Unauthorized => status(401, "Unauthorized", "Unauthorized"),
            Kind::WatchExpired => Canned::json(
                200,
                "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\
                 \"status\":\"Failure\",\"message\":\"too old resource version\",\"reason\":\"Expired\",\
                 \"code\":410}}\n",
            ),
            Kind::WatchGone | Kind::ListGone => status(410, "Expired", "too old resource version"),
            Kind::ListTooNew => status(504, "Timeout", "Too large resource version"),
            _ => status(504, "Timeout", "the request did not complete within the allotted timeout"),
        }
    }
}

fn status(code: u16, reason: &str, message: &str) -> Canned {
    let body = format!(
        "{{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{{}},\"status\":\"Failure\",\
         \"message\":\"{message}\",\"reason\":\"{reason}\",\"code\":{code}}}"
    );
    Canned::json(code, &body)
}
