//! HTTP/1.1 as bytes: where a message ends, and how much of it is content. What is passed on is passed on as it came.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Heads and bodies of requests beyond these are an error of the test.
const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 64 * 1024 * 1024;

/// One end's stream, with what was read of it too early.
pub struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
}

/// A head as it came, with the empty line at its end.
#[derive(Clone, Debug)]
pub struct Head(pub Vec<u8>);

/// Where a body ends.
#[derive(Debug)]
pub enum Framing {
    Length(u64),
    Chunked(Chunks),
    ToEnd,
}

/// A place in a chunked body.
#[derive(Debug)]
pub enum Chunks {
    /// In a chunk's first line; the digits so far.
    Size(Vec<u8>),
    Data(u64),
    /// After the data: an empty line.
    Gap,
    /// In the line after the last chunk; whether it is empty so far.
    Trailer(bool),
    Over,
}

impl Head {
    fn lines(&self) -> impl Iterator<Item = &str> {
        std::str::from_utf8(&self.0).unwrap_or_default().split("\r\n")
    }

    /// A word of the first line.
    pub fn word(&self, number: usize) -> &str {
        self.lines().next().and_then(|line| line.split(' ').nth(number)).unwrap_or_default()
    }

    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    fn framing(&self) -> Option<Framing> {
        if self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Some(Framing::Chunked(Chunks::Size(Vec::new())));
        }
        self.header("content-length").and_then(|length| length.parse().ok()).map(Framing::Length)
    }

    pub fn request_framing(&self) -> Framing {
        self.framing().unwrap_or(Framing::Length(0))
    }

    /// `method` is the request's.
    pub fn response_framing(&self, method: &str) -> Framing {
        match self.status() {
            204 | 304 => Framing::Length(0),
            _ if method == "HEAD" => Framing::Length(0),
            _ => self.framing().unwrap_or(Framing::ToEnd),
        }
    }
}

impl Framing {
    pub fn is_over(&self) -> bool {
        matches!(self, Framing::Length(0) | Framing::Chunked(Chunks::Over))
    }

    /// Takes what belongs to the body off the start of `bytes`: how many bytes that is, and how many are content.
    pub fn take(&mut self, bytes: &[u8]) -> (usize, usize) {
        match self {
            Framing::ToEnd => (bytes.len(), bytes.len()),
            Framing::Length(left) => {
                let used = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= used as u64;
                (used, used)
            }
            Framing::Chunked(chunks) => {
                let (mut used, mut content) = (0, 0);
                while used < bytes.len() && !matches!(chunks, Chunks::Over) {
                    let (step, data) = chunks.step(&bytes[used..]);
                    used += step;
                    content += data;
                }
                (used, content)
            }
        }
    }
}

impl Chunks {
    /// As [`Framing::take`], one step; `bytes` isn't empty.
    fn step(&mut self, bytes: &[u8]) -> (usize, usize) {
        match self {
            Chunks::Size(digits) if bytes[0] == b'\n' => {
                let text = String::from_utf8_lossy(digits);
                let size = u64::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16);
                *self = match size.unwrap_or(0) {
                    0 => Chunks::Trailer(true),
                    size => Chunks::Data(size),
                };
            }
            Chunks::Size(digits) => digits.push(bytes[0]),
            Chunks::Data(left) => {
                let used = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= used as u64;
                if *left == 0 {
                    *self = Chunks::Gap;
                }
                return (used, used);
            }
            Chunks::Gap if bytes[0] == b'\n' => *self = Chunks::Size(Vec::new()),
            Chunks::Trailer(true) if bytes[0] == b'\n' => *self = Chunks::Over,
            Chunks::Trailer(_) if bytes[0] == b'\r' => {}
            Chunks::Trailer(empty) => *empty = bytes[0] == b'\n',
            Chunks::Gap | Chunks::Over => {}
        }
        (1, 0)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Wire<S> {
        Wire { stream, buffer: Vec::new() }
    }

    /// The next head; `None` if the other end has closed. May be abandoned and called again.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(Some(Head(self.buffer.drain(..at + 4).collect())));
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(io::Error::other("a head without an end"));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The next part of a body as it came, with the length of its content; empty if the other end has closed. May be
    /// abandoned and called again.
    pub async fn part(&mut self, framing: &mut Framing) -> io::Result<(Vec<u8>, usize)> {
        if self.buffer.is_empty() && self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Ok((Vec::new(), 0));
        }
        let (used, content) = framing.take(&self.buffer);
        Ok((self.buffer.drain(..used).collect(), content))
    }

    /// A whole body as it came, with the length of its content.
    pub async fn body(&mut self, mut framing: Framing) -> io::Result<(Vec<u8>, usize)> {
        let (mut raw, mut length) = (Vec::new(), 0);
        while !framing.is_over() {
            let (part, content) = self.part(&mut framing).await?;
            match part.is_empty() {
                true if matches!(framing, Framing::ToEnd) => break,
                true => return Err(io::ErrorKind::UnexpectedEof.into()),
                false => raw.extend_from_slice(&part),
            }
            length += content;
            if raw.len() > MAX_BODY {
                return Err(io::Error::other("a body without an end"));
            }
        }
        Ok((raw, length))
    }

    /// Returns when the other end has closed.
    pub async fn closed(&mut self) {
        while self.buffer.len() < MAX_BODY
            && self.stream.read_buf(&mut self.buffer).await.is_ok_and(|n| n > 0)
        {}
    }

    /// Returns when anything comes, an end included.
    pub async fn stirred(&mut self) {
        if self.buffer.is_empty() {
            let _ = self.stream.read_buf(&mut self.buffer).await;
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Says goodbye as TLS wants it.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_ends_where_it_ends_however_it_is_cut() {
        let text = b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nT: v\r\n\r\nHTTP";
        for size in 1..text.len() {
            let mut framing = Framing::Chunked(Chunks::Size(Vec::new()));
            let (mut used, mut content) = (0, 0);
            for part in text.chunks(size) {
                let (step, data) = framing.take(part);
                (used, content) = (used + step, content + data);
            }
            assert!(framing.is_over());
            assert_eq!((used, content), (text.len() - 4, 6), "in parts of {size}");
        }
    }

    #[test]
    fn the_length_of_what_has_none() {
        let head = |text: &str| Head(format!("{text}\r\n\r\n").into_bytes());
        assert!(head("GET / HTTP/1.1").request_framing().is_over());
        assert!(head("HTTP/1.1 204 x").response_framing("GET").is_over());
        assert!(head("HTTP/1.1 200 x\r\nContent-Length: 5").response_framing("HEAD").is_over());
        assert!(matches!(head("HTTP/1.1 200 x").response_framing("GET"), Framing::ToEnd));
    }
}
