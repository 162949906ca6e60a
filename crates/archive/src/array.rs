//! An array of numbers that stay in the file until they are asked for.
//!
//! Element (i_1, .., i_d) of an array stands at place o + sum_k i_k s_k of its storage, o the offset and s the strides. A transposed or
//! sliced tensor is another choice of o and s over the same bytes; numbers are gathered into row-major order when they are read. The
//! last place, o + sum_k (n_k - 1) s_k, must lie in the storage, and every sum and product on the way there is checked.

use crate::heap::{Data, Heap, Id, Storage, Tensor, Value};
use crate::policy::Count;
use crate::{ArchiveError, Dtype, Fault};
use half::{bf16, f16};
use std::borrow::Cow;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Numbers of one type with a shape: a name, a place in a file, and no copy.
#[derive(Clone, Debug)]
pub struct Array {
    file: Arc<Path>,
    name: String,
    dtype: Dtype,
    shape: Box<[usize]>,
    strides: Box<[usize]>,
    /// In numbers, from `start`.
    offset: usize,
    /// In bytes, from the beginning of the data.
    start: usize,
    /// One past the last byte that is needed, from the beginning of the data.
    end: usize,
    data: Data,
    big_endian: bool,
}

impl Array {
    /// An array over the bytes `start .. start + length` of a storage.
    pub(crate) fn new(
        file: &Arc<Path>,
        name: &str,
        tensor: &Tensor,
        storage: &Storage,
        start: u64,
        length: u64,
        repeated: Count,
    ) -> Result<Self, Fault> {
        let wrong = |found: String, expected: String| Fault::Tensor { name: name.to_owned(), found, expected };
        let asks = || format!("shape {:?} with strides {:?} from {} asks", tensor.shape, tensor.strides, tensor.offset);
        if tensor.shape.len() != tensor.strides.len() {
            return Err(wrong(asks(), "there is a stride for each size".to_owned()));
        }
        let too_large = || wrong(format!("it has {length} bytes"), format!("{} for more than can be counted", asks()));
        let size = tensor.dtype.size() as u64;
        let count = tensor.shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d));
        let count = if tensor.shape.contains(&0) { 0 } else { count.ok_or_else(too_large)? };
        let last = tensor
            .shape
            .iter()
            .zip(&tensor.strides)
            .try_fold(tensor.offset, |at, (&n, &stride)| at.checked_add(n.saturating_sub(1).checked_mul(stride)?));
        let numbers = if count == 0 { 0 } else { last.and_then(|last| last.checked_add(1)).ok_or_else(too_large)? };
        let bytes = numbers.checked_mul(size).ok_or_else(too_large)?;
        let there = match &storage.data {
            Data::Plain(bytes) => bytes.len() as u64,
            Data::Deflated(_, size) => *size,
            Data::Awaited | Data::View(..) => 0,
        };
        let inside = start.checked_add(length).is_some_and(|end| end <= there);
        if bytes > length || !inside {
            let has = if inside { length } else { there.saturating_sub(start) };
            let found = format!("its storage has {has} bytes ({} numbers of {})", has / size, tensor.dtype);
            return Err(wrong(found, format!("{} for {numbers}", asks())));
        }
        if count > length / size {
            repeated.allows(count)?;
        }
        let index = |n: u64| usize::try_from(n).map_err(|_| too_large());
        let all = |ns: &[u64]| ns.iter().map(|&n| index(n)).collect::<Result<Box<[usize]>, Fault>>();
        Ok(Self {
            file: file.clone(),
            name: name.to_owned(),
            dtype: tensor.dtype,
            shape: all(&tensor.shape)?,
            strides: if count == 0 { tensor.strides.iter().map(|_| 0).collect() } else { all(&tensor.strides)? },
            offset: if count == 0 { 0 } else { index(tensor.offset)? },
            start: index(start)?,
            end: index(start + bytes)?,
            data: storage.data.clone(),
            big_endian: storage.big_endian,
        })
    }

    /// Makes it a value of another heap, over the same bytes.
    pub(crate) fn push(&self, heap: &mut Heap) -> Result<Id, Fault> {
        let bytes = match &self.data {
            Data::Plain(bytes) => bytes.len() as u64,
            Data::Deflated(_, size) => *size,
            Data::Awaited | Data::View(..) => unreachable!("arrays are made over bytes that are there"),
        };
        let storage = |bytes, data| Storage {
            file: self.file.clone(),
            key: "".into(),
            dtype: Some(self.dtype),
            bytes,
            big_endian: self.big_endian,
            data,
        };
        let whole = heap.storage(storage(bytes, self.data.clone()))?;
        let part = heap.storage(storage((self.end - self.start) as u64, Data::View(whole, self.start as u64)))?;
        let all = |ns: &[usize]| ns.iter().map(|&n| n as u64).collect();
        let (shape, strides) = (all(&self.shape), all(&self.strides));
        let tensor = Tensor { storage: part, dtype: self.dtype, offset: self.offset as u64, shape, strides };
        heap.push(Value::Tensor(Box::new(tensor)))
    }

    /// Its place in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that it is in: of sharded files, the shard.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its sizes; a single number has none.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of its numbers.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// How many numbers it has.
    #[expect(clippy::len_without_is_empty, reason = "a shape, not a collection")]
    pub fn len(&self) -> usize {
        if self.shape.contains(&0) { 0 } else { self.shape.iter().product() }
    }

    /// Its numbers in row-major order, rounded to single precision.
    ///
    /// # Errors
    /// When its storage is compressed and damaged.
    pub fn f32(&self) -> Result<Vec<f32>, ArchiveError> {
        macro_rules! read {
            ($($dtype:ident: $from:expr),*) => {
                match self.dtype {
                    $(Dtype::$dtype => self.gather(|b| { let from = $from; from(b) as f32 }),)*
                    Dtype::Bool => self.gather(|[b]: [u8; 1]| f32::from(b != 0)),
                    Dtype::F16 => self.gather(|b| f16::from_le_bytes(b).to_f32()),
                    Dtype::BF16 => self.gather(|b| bf16::from_le_bytes(b).to_f32()),
                }
            };
        }
        read!(
            U8: u8::from_le_bytes, U16: u16::from_le_bytes, U32: u32::from_le_bytes, U64: u64::from_le_bytes,
            I8: i8::from_le_bytes, I16: i16::from_le_bytes, I32: i32::from_le_bytes, I64: i64::from_le_bytes,
            F32: f32::from_le_bytes, F64: f64::from_le_bytes
        )
    }

    /// Its numbers in row-major order, in double precision: exact for every type but 64-bit integers beyond 2^53.
    ///
    /// # Errors
    /// When its storage is compressed and damaged.
    pub fn f64(&self) -> Result<Vec<f64>, ArchiveError> {
        macro_rules! read {
            ($($dtype:ident: $from:expr),*) => {
                match self.dtype {
                    $(Dtype::$dtype => self.gather(|b| { let from = $from; from(b) as f64 }),)*
                    Dtype::Bool => self.gather(|[b]: [u8; 1]| f64::from(b != 0)),
                    Dtype::F16 => self.gather(|b| f16::from_le_bytes(b).to_f64()),
                    Dtype::BF16 => self.gather(|b| bf16::from_le_bytes(b).to_f64()),
                }
            };
        }
        read!(
            U8: u8::from_le_bytes, U16: u16::from_le_bytes, U32: u32::from_le_bytes, U64: u64::from_le_bytes,
            I8: i8::from_le_bytes, I16: i16::from_le_bytes, I32: i32::from_le_bytes, I64: i64::from_le_bytes,
            F32: f32::from_le_bytes, F64: f64::from_le_bytes
        )
    }

    /// Its integers in row-major order.
    ///
    /// # Errors
    /// When its numbers are no integers, or one is beyond 2^63, or its storage is compressed and damaged.
    pub fn i64(&self) -> Result<Vec<i64>, ArchiveError> {
        let not = |found: String| {
            let expected = "integers were asked for".to_owned();
            self.error(Fault::Dtype { name: self.name.clone(), found, expected })
        };
        match self.dtype {
            Dtype::Bool => self.gather(|[b]: [u8; 1]| i64::from(b != 0)),
            Dtype::U8 => self.gather(|b| u8::from_le_bytes(b).into()),
            Dtype::U16 => self.gather(|b| u16::from_le_bytes(b).into()),
            Dtype::U32 => self.gather(|b| u32::from_le_bytes(b).into()),
            Dtype::I8 => self.gather(|b| i8::from_le_bytes(b).into()),
            Dtype::I16 => self.gather(|b| i16::from_le_bytes(b).into()),
            Dtype::I32 => self.gather(|b| i32::from_le_bytes(b).into()),
            Dtype::I64 => self.gather(i64::from_le_bytes),
            Dtype::U64 => {
                let numbers: Vec<u64> = self.gather(u64::from_le_bytes)?;
                let signed = |n: u64| i64::try_from(n).map_err(|_| not(format!("u64 with {n} among its numbers")));
                numbers.into_iter().map(signed).collect()
            }
            Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 => Err(not(self.dtype.to_string())),
        }
    }

    fn error(&self, fault: Fault) -> ArchiveError {
        ArchiveError::new(&self.file, fault)
    }

    /// The bytes of the storage up to the last that is needed.
    fn bytes(&self) -> Result<Cow<'_, [u8]>, Fault> {
        match &self.data {
            Data::Plain(bytes) => Ok(Cow::Borrowed(&bytes[self.start..self.end])),
            Data::Deflated(packed, _) => {
                let mut bytes = inflate(packed, self.end as u64)?;
                if bytes.len() < self.end {
                    let needs = self.end as u64;
                    let what = format!("the compressed storage of tensor {:?}", self.name);
                    return Err(Fault::Truncated { what, at: 0, needs, have: bytes.len() as u64 });
                }
                Ok(Cow::Owned(bytes.split_off(self.start)))
            }
            Data::Awaited | Data::View(..) => unreachable!("arrays are made over bytes that are there"),
        }
    }

    /// Every number, decoded, in row-major order.
    fn gather<const N: usize, T>(&self, decode: impl Fn([u8; N]) -> T) -> Result<Vec<T>, ArchiveError> {
        assert_eq!(N, self.dtype.size());
        let (bytes, count) = (self.bytes().map_err(|fault| self.error(fault))?, self.len());
        let (numbers, _) = bytes.as_chunks::<N>();
        let one = |at: usize| {
            let mut bytes = numbers[at];
            if self.big_endian {
                bytes.reverse();
            }
            decode(bytes)
        };
        if self.is_contiguous() {
            return Ok((self.offset..self.offset + count).map(one).collect());
        }
        let mut gathered = Vec::with_capacity(count);
        let mut index = vec![0; self.shape.len()];
        let mut at = self.offset;
        while gathered.len() < count {
            gathered.push(one(at));
            // The next index, the last axis first; an axis at its end goes back to its beginning.
            for (axis, i) in index.iter_mut().enumerate().rev() {
                *i += 1;
                if *i < self.shape[axis] {
                    at += self.strides[axis];
                    break;
                }
                at -= (*i - 1) * self.strides[axis];
                *i = 0;
            }
        }
        Ok(gathered)
    }

    /// Whether its numbers follow each other in row-major order.
    fn is_contiguous(&self) -> bool {
        let mut step = 1_usize;
        self.len() == 0
            || self.shape.iter().zip(&self.strides).rev().all(|(&n, &stride)| {
                let follows = n == 1 || stride == step;
                step *= n;
                follows
            })
    }
}

/// The first `most` bytes that come out of a deflated stream, or all if they are fewer.
pub(crate) fn inflate(packed: &[u8], most: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    flate2::read::DeflateDecoder::new(packed)
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|e| Fault::Malformed(format!("a compressed member cannot be inflated: {e}")))?;
    Ok(bytes)
}
