//! The lines of an answer that comes in pieces. Each byte is looked at once,
//! and a line may only be so long: a server that never ends one takes neither
//! the I/O thread's time nor the host's memory. Pure.

use bytes::{Bytes, BytesMut};

pub(crate) struct Lines {
    rest: BytesMut,
    /// This much of `rest` is known to have no line feed.
    searched: usize,
    longest: usize,
}

/// A line is longer than any the API server sends.
#[derive(Debug, PartialEq)]
pub(crate) struct TooLong;

impl Lines {
    pub fn up_to(longest: usize) -> Lines {
        Lines { rest: BytesMut::new(), searched: 0, longest }
    }

    pub fn push(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
    }

    /// The next whole line, with its end.
    pub fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        let fresh = &self.rest[self.searched..];
        match fresh.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let line = self.rest.split_to(self.searched + end + 1);
                self.searched = 0;
                if line.len() > self.longest { Err(TooLong) } else { Ok(Some(line.freeze())) }
            }
            None => {
                self.searched = self.rest.len();
                if self.searched > self.longest { Err(TooLong) } else { Ok(None) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let text = b"one\n\ntwo three\nfour";
        for size in 1..text.len() {
            let mut lines = Lines::up_to(100);
            let mut seen = Vec::new();
            for piece in text.chunks(size) {
                lines.push(piece);
                while let Some(line) = lines.next().unwrap() {
                    seen.push(line);
                }
            }
            assert_eq!(seen, [&b"one\n"[..], b"\n", b"two three\n"], "in pieces of {size}");
        }
    }

    /// Every piece was searched from the start of the line: minutes of the one I/O thread.
    #[test]
    fn a_line_that_never_ends_is_searched_once_and_given_up() {
        let started = Instant::now();
        let mut lines = Lines::up_to(16 << 20);
        let piece = [b'x'; 512];
        let pieces = (0..100_000).position(|_| {
            lines.push(&piece);
            lines.next() == Err(TooLong)
        });
        assert_eq!(pieces, Some((16 << 20) / piece.len()));
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        let mut lines = Lines::up_to(3);
        lines.push(b"four\n");
        assert_eq!(lines.next(), Err(TooLong));
    }
}
