//! The bytes of a pickle, taken from the front; lengths that it announces are checked before anything is made of them.

use crate::Fault;
use crate::bytes::Bytes;

/// The longest line of the instructions that end with one.
const LONGEST_LINE: usize = 1 << 20;

pub(super) struct Input<'a> {
    bytes: &'a Bytes,
    data: &'a [u8],
    at: usize,
    /// Where the present instruction begins.
    instruction: usize,
    start: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a Bytes, at: u64) -> Result<Self, Fault> {
        let data: &[u8] = bytes;
        let have = data.len() as u64;
        if at >= have {
            return Err(Fault::Truncated { what: "the file".to_owned(), at, needs: 1, have: 0 });
        }
        let at = at as usize;
        Ok(Self { bytes, data, at, instruction: at, start: at })
    }

    /// From the beginning of the bytes.
    pub(super) fn position(&self) -> u64 {
        self.at as u64
    }

    /// From the beginning of the pickle.
    pub(super) fn instruction(&self) -> u64 {
        (self.instruction - self.start) as u64
    }

    fn short(&self, needs: u64) -> Fault {
        let (at, have) = ((self.at - self.start) as u64, (self.data.len() - self.at) as u64);
        Fault::Truncated { what: "the pickle".to_owned(), at, needs, have }
    }

    /// The next instruction.
    pub(super) fn opcode(&mut self) -> Result<u8, Fault> {
        self.instruction = self.at;
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn take(&mut self, n: u64) -> Result<&'a [u8], Fault> {
        let rest = &self.data[self.at..];
        if n > rest.len() as u64 {
            return Err(self.short(n));
        }
        self.at += n as usize;
        Ok(&rest[..n as usize])
    }

    /// Like [`Input::take`], shared with the file in place of borrowed.
    pub(super) fn share(&mut self, n: u64) -> Result<Bytes, Fault> {
        let part = self.bytes.part(self.at as u64, n).ok_or_else(|| self.short(n))?;
        self.at += n as usize;
        Ok(part)
    }

    /// Checks that as many bytes are there, and leaves them.
    pub(super) fn expect(&mut self, n: u64) -> Result<(), Fault> {
        if n > (self.data.len() - self.at) as u64 { Err(self.short(n)) } else { Ok(()) }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        Ok(*self.take(N as u64)?.first_chunk().expect("as many bytes as were taken"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A line without its end.
    pub(super) fn line(&mut self) -> Result<&'a [u8], Fault> {
        let rest = &self.data[self.at..];
        let within = &rest[..rest.len().min(LONGEST_LINE)];
        let end = within.iter().position(|&b| b == b'\n').ok_or_else(|| self.short(within.len() as u64 + 1))?;
        self.at += end + 1;
        Ok(&rest[..end])
    }
}
