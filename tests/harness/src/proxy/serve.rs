//! One client's connection: its requests go to the server over a connection of their own, one after the other, and
//! what comes back is passed on as it comes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::{client, server};

use super::Shared;
use super::hit::InForce;
use super::request::Request;
use super::rule::{Canned, Delivery, Hearing};
use super::wire::{Framing, Head, Wire};

type ToClient = Wire<server::TlsStream<TcpStream>>;
type ToServer = Wire<client::TlsStream<TcpStream>>;

/// An answer, taken as a whole.
struct Taken {
    head: Head,
    body: Vec<u8>,
    content: usize,
}

pub struct Connection {
    shared: Arc<Shared>,
    client: ToClient,
    server: Option<ToServer>,
    cuts: watch::Receiver<u64>,
}

/// Whether the connection goes on.
#[derive(PartialEq)]
enum After {
    GoesOn,
    Ends,
}

pub async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let cuts = shared.cuts.subscribe();
    // The server first: where it refuses, the client's handshake must fail, as it would without a proxy.
    let Ok(server) = shared.connect().await else { return };
    let _ = stream.set_nodelay(true);
    let acceptor = super::lock(&shared.acceptor).clone();
    let Ok(client) = acceptor.accept(stream).await else { return };
    let mut connection = Connection { shared, client: Wire::new(client), server: Some(server), cuts };
    while let Ok(After::GoesOn) = connection.next().await {}
}

impl Connection {
    async fn next(&mut self) -> io::Result<After> {
        let head = {
            let idle = async {
                match &mut self.server {
                    Some(server) => server.stirred().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                head = self.client.head() => head?,
                // The server has ended its connection, so this one ends too.
                () = idle => None,
                _ = self.cuts.changed() => return Ok(After::Ends),
            }
        };
        let Some(head) = head else {
            self.client.finish().await;
            return Ok(After::Ends);
        };
        let request = Request::read(&mut self.client, head).await?;
        self.shared.came(&request);
        match self.shared.rule_for(&request) {
            Some(rule) => self.ruled(request, &rule).await,
            None => self.pass(&request, None).await,
        }
    }

    async fn ruled(&mut self, request: Request, rule: &Arc<InForce>) -> io::Result<After> {
        match rule.rule.delivery {
            Delivery::Now => self.deliver_now(&request, rule).await,
            Delivery::Half => {
                let bytes = request.bytes();
                self.server().await?.send(&bytes[..bytes.len() / 2]).await?;
                self.server = None;
                self.keep(&request, rule).await
            }
            Delivery::Never => self.keep(&request, rule).await,
            Delivery::Held | Delivery::HeldMs(_) => self.deliver_later(request, rule).await,
        }
    }

    async fn deliver_now(&mut self, request: &Request, rule: &Arc<InForce>) -> io::Result<After> {
        let hearing = &rule.rule.hearing;
        if *hearing == Hearing::Answer {
            return self.pass(request, Some(rule)).await;
        }
        let taken = self.take(request).await;
        rule.delivered(taken.as_ref().map_or(0, |taken| taken.head.status()));
        let taken = taken?;
        match hearing {
            Hearing::Answer | Hearing::Close => return Ok(After::Ends),
            Hearing::AnswerHeld => {
                if !self.waits(rule.released()).await {
                    return Ok(After::Ends);
                }
            }
            Hearing::AnswerHeldMs(ms) => {
                if !self.waits(tokio::time::sleep(Duration::from_millis(*ms))).await {
                    return Ok(After::Ends);
                }
            }
            Hearing::TrickleMs(ms) => return self.trickle(request, &taken, Duration::from_millis(*ms)).await,
            Hearing::Half => {
                let half = &taken.body[..taken.body.len() / 2];
                self.shared.answered(request, taken.head.0.len(), half.len());
                self.client.send(&[&taken.head.0, half].concat()).await?;
                return Ok(After::Ends);
            }
            Hearing::Instead(canned) => return self.say(request, canned).await,
        }
        self.shared.answered(request, taken.head.0.len(), taken.content);
        self.client.send(&[&taken.head.0[..], &taken.body].concat()).await?;
        Ok(if taken.head.closes() { After::Ends } else { After::GoesOn })
    }

    /// The server never gets it.
    async fn keep(&mut self, request: &Request, rule: &Arc<InForce>) -> io::Result<After> {
        match &rule.rule.hearing {
            Hearing::Instead(canned) => self.say(request, canned).await,
            Hearing::Close => Ok(After::Ends),
            _ => {
                self.waits(rule.released()).await;
                Ok(After::Ends)
            }
        }
    }

    async fn deliver_later(&mut self, request: Request, rule: &Arc<InForce>) -> io::Result<After> {
        let due = due(rule.clone());
        match &rule.rule.hearing {
            Hearing::Instead(canned) => {
                let after = self.say(&request, canned).await;
                self.shared.later(request, rule.clone());
                after
            }
            Hearing::Close => {
                self.shared.later(request, rule.clone());
                Ok(After::Ends)
            }
            _ if self.waits(due).await => self.deliver_now(&request, rule).await,
            _ => {
                self.shared.later(request, rule.clone());
                Ok(After::Ends)
            }
        }
    }

    /// Waits for `moment`; false if the client has gone meanwhile.
    async fn waits(&mut self, moment: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = moment => true,
            () = self.client.closed() => false,
            _ = self.cuts.changed() => false,
        }
    }

    async fn say(&mut self, request: &Request, canned: &Canned) -> io::Result<After> {
        let (head, body) = (canned.head(), canned.sent());
        self.shared.answered(request, head.len(), body.len());
        self.client.send(&[&head, body].concat()).await?;
        Ok(if canned.cut { After::Ends } else { After::GoesOn })
    }

    async fn trickle(&mut self, request: &Request, taken: &Taken, interval: Duration) -> io::Result<After> {
        self.shared.answered(request, taken.head.0.len(), taken.content);
        for byte in taken.head.0.iter().chain(&taken.body) {
            if !self.waits(tokio::time::sleep(interval)).await {
                return Ok(After::Ends);
            }
            self.client.send(&[*byte]).await?;
        }
        Ok(After::GoesOn)
    }

    async fn server(&mut self) -> io::Result<&mut ToServer> {
        if self.server.is_none() {
            self.server = Some(self.shared.connect().await?);
        }
        Ok(self.server.as_mut().expect("just made"))
    }

    /// Takes the answer as a whole, whether the client is there or not.
    async fn take(&mut self, request: &Request) -> io::Result<Taken> {
        let server = self.server().await?;
        let taken = exchange(server, request).await;
        if taken.as_ref().map_or(true, |taken| taken.head.closes()) {
            self.server = None;
        }
        taken
    }

    /// Passes the answer on as it comes: watches too.
    async fn pass(&mut self, request: &Request, rule: Option<&Arc<InForce>>) -> io::Result<After> {
        let shared = self.shared.clone();
        self.server().await?;
        let Connection { client, server: Some(server), cuts, .. } = self else { return Ok(After::Ends) };
        // A server that refuses a body early may not take all of it.
        let _ = server.send(&request.bytes()).await;
        let head = loop {
            let head = tokio::select! {
                head = server.head() => head?,
                () = client.closed() => None,
                _ = cuts.changed() => None,
            };
            match head {
                Some(head) if head.status() < 200 => client.send(&head.0).await?,
                Some(head) => break head,
                None => {
                    rule.inspect(|rule| rule.delivered(0));
                    return Ok(After::Ends);
                }
            }
        };
        rule.inspect(|rule| rule.delivered(head.status()));
        shared.answered(request, head.0.len(), 0);
        let mut framing = head.response_framing(request.method());
        // With the head goes what has come of the body: an answer in one piece stays in one.
        let mut piece = head.0.clone();
        loop {
            client.send(&piece).await?;
            if framing.is_over() {
                break;
            }
            let (part, content) = tokio::select! {
                part = server.part(&mut framing) => part?,
                () = client.closed() => return Ok(After::Ends),
                _ = cuts.changed() => return Ok(After::Ends),
            };
            if part.is_empty() {
                if matches!(framing, Framing::ToEnd) {
                    client.finish().await;
                }
                return Ok(After::Ends);
            }
            shared.answered(request, 0, content);
            piece = part;
        }
        if head.closes() {
            client.finish().await;
            return Ok(After::Ends);
        }
        Ok(if request.head.closes() { After::Ends } else { After::GoesOn })
    }
}

/// When a held request is to be delivered.
async fn due(rule: Arc<InForce>) {
    match rule.rule.delivery {
        Delivery::HeldMs(ms) => {
            tokio::select! {
                () = rule.released() => {}
                () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            }
        }
        _ => rule.released().await,
    }
}

/// Delivers a request that nobody waits for any more, over a connection of its own.
pub async fn deliver(shared: Arc<Shared>, request: Request, rule: Arc<InForce>) {
    due(rule.clone()).await;
    let answer = async { exchange(&mut shared.connect().await?, &request).await };
    rule.delivered(answer.await.map_or(0, |taken| taken.head.status()));
}

async fn exchange(server: &mut ToServer, request: &Request) -> io::Result<Taken> {
    let _ = server.send(&request.bytes()).await;
    let head = loop {
        match server.head().await? {
            Some(head) if head.status() < 200 => {}
            Some(head) => break head,
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    let (body, content) = server.body(head.response_framing(request.method())).await?;
    Ok(Taken { head, body, content })
}
