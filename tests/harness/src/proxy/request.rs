//! One request as it came.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use super::counts::PathKind;
use super::wire::{Head, Wire};

#[derive(Debug)]
pub struct Request {
    pub head: Head,
    /// As it came: chunked perhaps.
    pub body: Vec<u8>,
    /// How many bytes of the body are content.
    pub content: usize,
}

impl Request {
    /// `None`: the client has closed.
    pub async fn read<S: AsyncRead + AsyncWrite + Unpin>(
        client: &mut Wire<S>,
        head: Head,
    ) -> io::Result<Request> {
        let (body, content) = client.body(head.request_framing()).await?;
        Ok(Request { head, body, content })
    }

    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    pub fn path(&self) -> &str {
        self.head.word(1).split('?').next().unwrap_or_default()
    }

    pub fn query(&self) -> &str {
        self.head.word(1).split_once('?').map_or("", |(_, query)| query)
    }

    pub fn counted_as(&self) -> (String, PathKind) {
        (self.method().to_owned(), PathKind::of(self.path(), self.query()))
    }

    pub fn bytes(&self) -> Vec<u8> {
        [&self.head.0[..], &self.body].concat()
    }
}
