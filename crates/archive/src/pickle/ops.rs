//! One instruction: the table of Python's `pickletools`, in its order of subjects.

use super::{Machine, text};
use crate::Fault;
use crate::error::shown;
use crate::heap::{Id, Value};

impl Machine<'_> {
    /// Carries out the next instruction; the value, if that was the end.
    pub(super) fn step(&mut self) -> Result<Option<Id>, Fault> {
        match self.input.opcode()? {
            // Begin and end. A frame says how much to read at once; everything is at hand already.
            0x80 => {
                let protocol = self.input.u8()?;
                if protocol > 5 {
                    return Err(self.wrong(format!("protocol {protocol}; known are 0 to 5")));
                }
            }
            0x95 => {
                let frame = self.input.u64()?;
                self.input.expect(frame)?;
            }
            b'.' => return self.pop().map(Some),

            // None, truth values, numbers.
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'I' => {
                let line = self.utf8_line()?;
                match line {
                    "00" => self.push(Value::Bool(false))?,
                    "01" => self.push(Value::Bool(true))?,
                    _ => self.push_integer(line)?,
                }
            }
            b'L' => {
                let line = self.utf8_line()?;
                self.push_integer(line.trim_end_matches('L'))?;
            }
            b'J' => {
                let bytes = self.input.array()?;
                self.push(Value::Int(i32::from_le_bytes(bytes).into()))?;
            }
            b'K' => {
                let n = self.input.u8()?;
                self.push(Value::Int(n.into()))?;
            }
            b'M' => {
                let bytes = self.input.array()?;
                self.push(Value::Int(u16::from_le_bytes(bytes).into()))?;
            }
            0x8A => {
                let n = self.input.u8()?.into();
                self.push_long(n)?;
            }
            0x8B => {
                let n = i32::from_le_bytes(self.input.array()?);
                let n = u64::try_from(n).map_err(|_| self.wrong(format!("an integer of {n} bytes")))?;
                self.push_long(n)?;
            }
            b'F' => {
                let line = self.utf8_line()?;
                let x = line.trim().parse().map_err(|_| self.wrong(format!("{:?} is no number", shown(line))))?;
                self.push(Value::Float(x))?;
            }
            b'G' => {
                let bytes = self.input.array()?;
                self.push(Value::Float(f64::from_be_bytes(bytes)))?;
            }

            // Texts and bytes. The strings of Python 2 are bytes that are mostly meant as text.
            b'S' => {
                let line = self.input.line()?;
                let bytes = text::unquoted(line).ok_or_else(|| self.wrong("a string without its quotes"))?;
                self.push_string(&bytes)?;
            }
            b'T' => {
                let n = i32::from_le_bytes(self.input.array()?);
                let n = u64::try_from(n).map_err(|_| self.wrong(format!("a string of {n} bytes")))?;
                let bytes = self.input.take(n)?;
                self.push_string(bytes)?;
            }
            b'U' => {
                let n = self.input.u8()?;
                let bytes = self.input.take(n.into())?;
                self.push_string(bytes)?;
            }
            b'V' => {
                let line = self.input.line()?;
                let line = text::raw_unicode_escape(line).ok_or_else(|| self.wrong("a text with a broken escape"))?;
                self.push_text(&line)?;
            }
            0x8C => {
                let n = self.input.u8()?;
                self.push_utf8(n.into())?;
            }
            b'X' => {
                let n = self.input.u32()?;
                self.push_utf8(n.into())?;
            }
            0x8D => {
                let n = self.input.u64()?;
                self.push_utf8(n)?;
            }
            b'C' => {
                let n = self.input.u8()?;
                self.push_bytes(n.into())?;
            }
            b'B' => {
                let n = self.input.u32()?;
                self.push_bytes(n.into())?;
            }
            0x8E | 0x96 => {
                let n = self.input.u64()?;
                self.push_bytes(n)?;
            }
            0x97 | 0x98 => return Err(self.wrong("it refers to buffers outside itself, which no file has")),

            // Containers.
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.push(Value::Tuple([].into()))?,
            b't' => {
                let values = self.pop_mark()?;
                self.push(Value::Tuple(values.into()))?;
            }
            code @ 0x85..=0x87 => {
                let mut values = (0..code - 0x84).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                values.reverse();
                self.push(Value::Tuple(values.into()))?;
            }
            b']' => self.push(Value::List(Vec::new()))?,
            b'l' => {
                let values = self.pop_mark()?;
                self.push(Value::List(values))?;
            }
            b'a' => {
                let value = self.pop()?;
                self.append(vec![value])?;
            }
            b'e' => {
                let values = self.pop_mark()?;
                self.append(values)?;
            }
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'd' => {
                let pairs = self.pop_pairs()?;
                self.push(Value::Dict(pairs))?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(vec![(key, value)])?;
            }
            b'u' => {
                let pairs = self.pop_pairs()?;
                self.insert(pairs)?;
            }
            0x8F => self.push(Value::Set(Vec::new()))?,
            0x90 => {
                let values = self.pop_mark()?;
                let set = self.top()?;
                match self.heap.get_mut(set) {
                    Value::Set(ids) => ids.extend(values),
                    _ => return Err(self.wrong("it adds members to what is no set")),
                }
            }
            0x91 => {
                let values = self.pop_mark()?;
                self.push(Value::Set(values))?;
            }

            // The stack and the memo.
            b'0' => {
                // A mark counts as a value here.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let id = self.top()?;
                self.stack.push(id);
            }
            b'p' => {
                let number = self.memo_line()?;
                self.remember(number)?;
            }
            b'q' => {
                let number = self.input.u8()?;
                self.remember(number.into())?;
            }
            b'r' => {
                let number = self.input.u32()?;
                self.remember(number)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'g' => {
                let number = self.memo_line()?;
                self.recall(number)?;
            }
            b'h' => {
                let number = self.input.u8()?;
                self.recall(number.into())?;
            }
            b'j' => {
                let number = self.input.u32()?;
                self.recall(number)?;
            }

            // Names, and what is made of them.
            b'c' => {
                let (module, name) = (self.utf8_line()?, self.utf8_line()?);
                let global = self.global(module, name)?;
                self.push(Value::Global(global))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let texts = self.heap.as_text(module).zip(self.heap.as_text(name));
                let (module, name) =
                    texts.map(|(m, n)| (m.to_owned(), n.to_owned())).ok_or_else(|| self.wrong("a name that is no text"))?;
                let global = self.global(&module, &name)?;
                self.push(Value::Global(global))?;
            }
            0x82..=0x84 => return Err(self.wrong("it asks for a name by a number that only its own program knows")),
            b'R' | 0x81 => {
                let (args, class) = (self.pop()?, self.pop()?);
                self.call(class, args)?;
            }
            0x92 => {
                let (keywords, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                if !matches!(self.heap.get(keywords), Value::Dict(items) if items.is_empty()) {
                    return Err(self.wrong("it makes an object with arguments by keyword, which no class of the list takes"));
                }
                self.call(class, args)?;
            }
            b'o' => {
                let mut values = self.pop_mark()?;
                if values.is_empty() {
                    return Err(self.wrong("it makes an object without a class"));
                }
                let class = values.remove(0);
                let args = self.heap.push(Value::Tuple(values.into()))?;
                self.call(class, args)?;
            }
            b'i' => {
                let (module, name) = (self.utf8_line()?, self.utf8_line()?);
                let global = self.global(module, name)?;
                let values = self.pop_mark()?;
                let class = self.heap.push(Value::Global(global))?;
                let args = self.heap.push(Value::Tuple(values.into()))?;
                self.call(class, args)?;
            }
            b'b' => {
                let (state, target) = (self.pop()?, self.top()?);
                self.build(target, state)?;
            }
            b'P' => {
                let line = self.utf8_line()?;
                let reference = self.heap.text(line)?;
                let id = self.references.load(self.heap, reference)?;
                self.stack.push(id);
            }
            b'Q' => {
                let reference = self.pop()?;
                let id = self.references.load(self.heap, reference)?;
                self.stack.push(id);
            }
            other => return Err(self.wrong(format!("{other:#04x} is no instruction"))),
        }
        Ok(None)
    }

    fn memo_line(&mut self) -> Result<u32, Fault> {
        let line = self.utf8_line()?;
        line.parse().map_err(|_| self.wrong(format!("{:?} is no number of the memo", shown(line))))
    }

    fn push_utf8(&mut self, n: u64) -> Result<(), Fault> {
        let bytes = self.input.take(n)?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.wrong("a text that is no UTF-8"))?;
        self.push_text(text)
    }

    fn push_bytes(&mut self, n: u64) -> Result<(), Fault> {
        let bytes = self.input.share(n)?;
        self.push(Value::Bytes(Box::new(bytes)))
    }

    fn push_string(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return self.push_text(text);
        }
        self.heap.bytes.spend(bytes.len() as u64)?;
        self.push(Value::Bytes(Box::new(bytes.to_vec().into())))
    }

    fn push_integer(&mut self, line: &str) -> Result<(), Fault> {
        let line = line.trim();
        let n: i128 = line.parse().map_err(|_| self.wrong(format!("{:?} is no integer of 128 bits", shown(line))))?;
        let sign = i128::from(n < 0);
        let mut bytes = n.to_le_bytes().to_vec();
        // As protocol 2 writes it: no byte that the sign of the one below it says already.
        while let [.., below, last] = bytes[..]
            && i128::from(last) == sign * 0xFF
            && i128::from(below >> 7) == sign
        {
            bytes.pop();
        }
        self.push(i64::try_from(n).map_or_else(|_| Value::Big(bytes.into()), Value::Int))
    }

    /// An integer in two's complement, the lowest byte first.
    fn push_long(&mut self, n: u64) -> Result<(), Fault> {
        let bytes = self.input.take(n)?;
        let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xFF } else { 0 };
        if bytes.len() > 8 {
            self.heap.bytes.spend(n)?;
            return self.push(Value::Big(bytes.into()));
        }
        let mut all = [fill; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(all)))
    }

    fn append(&mut self, values: Vec<Id>) -> Result<(), Fault> {
        let list = self.top()?;
        match self.heap.get_mut(list) {
            Value::List(ids) => ids.extend(values),
            Value::Object(object) => object.elements.extend(values),
            _ => return Err(self.wrong("it appends to what is no list")),
        }
        Ok(())
    }

    fn insert(&mut self, pairs: Vec<(Id, Id)>) -> Result<(), Fault> {
        let dict = self.top()?;
        match self.heap.get_mut(dict) {
            Value::Dict(items) => items.extend(pairs),
            Value::Object(object) => object.items.extend(pairs),
            _ => return Err(self.wrong("it sets an item of what is no dict")),
        }
        Ok(())
    }
}
