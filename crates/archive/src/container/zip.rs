//! What PyTorch writes since 1.6: a zip with one folder, in it `data.pkl` and a member `data/KEY` for each storage, none of them
//! compressed, so that a storage is a stretch of the mapped file. `byteorder` says which byte of a number comes first.
//!
//! Archives that were packed again may be compressed: a pickle is inflated at once, a storage when its numbers are asked for, and no
//! further than they need. Checksums are not compared.

use super::{Reference, refers_to};
use crate::array::inflate;
use crate::bytes::{Bytes, Metered};
use crate::error::shown;
use crate::heap::{Data, Heap, Id, Storage, Value};
use crate::pickle::{self, References};
use crate::policy::Count;
use crate::{Dtype, Fault, Limit};
use std::collections::HashMap;
use zip::{CompressionMethod, ZipArchive};

/// Deflate makes at most this many bytes out of one: a longer member is a lie.
const DEFLATE_MOST: u64 = 1032;

/// Reads the pickle of an archive.
pub(crate) fn read(heap: &mut Heap, bytes: &Bytes) -> Result<Id, Fault> {
    let members = members(bytes)?;
    let mut pickles = members.keys().filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let Some(pickle) = pickles.next() else {
        let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
        names.sort_unstable();
        let found = names.iter().take(5).map(|n| format!("{:?}", shown(n))).collect::<Vec<_>>().join(", ");
        return Err(Fault::Missing {
            what: "the zip's member data.pkl".to_owned(),
            found: format!("{} members: {found}", names.len()),
        });
    };
    if pickles.next().is_some() {
        return Err(Fault::malformed("the zip has more than one data.pkl; expected one file of torch.save"));
    }
    let folder = pickle.strip_suffix("data.pkl").unwrap_or_default();
    if members.contains_key(&format!("{folder}constants.pkl")) {
        return Err(Fault::malformed("the zip is a TorchScript program; expected torch.save of a state dict"));
    }
    let order = members.get(&format!("{folder}byteorder")).map(|m| inflated(heap, m)).transpose()?;
    let big_endian = match order.as_deref() {
        None | Some(b"little") => false,
        Some(b"big") => true,
        Some(other) => return Err(Fault::malformed(format!("the byte order is {:?}", shown(&String::from_utf8_lossy(other))))),
    };
    let pickle = inflated(heap, &members[pickle])?;
    let mut storages = Members { members: &members, folder, big_endian, known: HashMap::new() };
    Ok(pickle::load(heap, &mut storages, &pickle, 0, 0)?.0)
}

/// A member's bytes, inflated if need be, for small things.
fn inflated(heap: &mut Heap, member: &Data) -> Result<Bytes, Fault> {
    match member {
        Data::Plain(bytes) => Ok(bytes.clone()),
        Data::Deflated(packed, size) => {
            heap.bytes.spend(*size)?;
            Ok(inflate(packed, *size)?.into())
        }
        Data::Awaited | Data::View(..) => unreachable!("members have bytes"),
    }
}

/// Every member of a zip by its name.
fn members(bytes: &Bytes) -> Result<HashMap<String, Data>, Fault> {
    let broken = |e: zip::result::ZipError| {
        Fault::malformed(format!("the zip's directory cannot be read, the file may be cut short: {e}"))
    };
    let mut archive = ZipArchive::new(Metered::new(bytes)).map_err(broken)?;
    if archive.has_duplicate_names() {
        return Err(Fault::Duplicate { key: "a member".to_owned(), place: "the zip's directory".to_owned() });
    }
    let mut members = HashMap::new();
    for i in 0..archive.len() {
        let member = archive.by_index_raw(i).map_err(broken)?;
        let name = member.name().map_err(broken)?.into_owned();
        let (packed, size) = (member.compressed_size(), member.size());
        if member.encrypted() {
            return Err(Fault::malformed(format!("the zip's member {:?} is encrypted", shown(&name))));
        }
        let start = member.data_start().unwrap_or(u64::MAX);
        let data = bytes.part(start, packed).ok_or_else(|| Fault::Truncated {
            what: format!("the zip's member {:?}", shown(&name)),
            at: start,
            needs: packed,
            have: (bytes.len() as u64).saturating_sub(start),
        })?;
        let data = match member.compression() {
            CompressionMethod::Stored if packed == size => Data::Plain(data),
            CompressionMethod::Deflated if size <= packed.saturating_mul(DEFLATE_MOST) => Data::Deflated(data, size),
            method => {
                let name = shown(&name);
                let found = format!("the zip's member {name:?} makes {size} bytes of {packed} by {method:?}");
                return Err(Fault::malformed(format!("{found}; expected members that are stored or deflated")));
            }
        };
        if members.insert(name.clone(), data).is_some() {
            return Err(Fault::Duplicate { key: shown(&name), place: "the zip's directory".to_owned() });
        }
    }
    Ok(members)
}

/// The storages of an archive.
struct Members<'a> {
    members: &'a HashMap<String, Data>,
    folder: &'a str,
    big_endian: bool,
    known: HashMap<(String, Option<Dtype>), Id>,
}

impl References for Members<'_> {
    fn load(&mut self, heap: &mut Heap, reference: Id) -> Result<Id, Fault> {
        if !refers_to(heap, reference, "storage") {
            return Err(Fault::malformed("the pickle refers to what is no storage"));
        }
        let Reference { dtype, key, bytes, .. } = Reference::parse(heap, reference)?;
        if let Some(&id) = self.known.get(&(key.clone(), dtype)) {
            return Ok(id);
        }
        let name = format!("{}data/{key}", self.folder);
        let data = self.members.get(&name).ok_or_else(|| Fault::Missing {
            what: format!("the zip's member {:?}, a storage,", shown(&name)),
            found: format!("{} other members", self.members.len()),
        })?;
        let has = match data {
            Data::Plain(bytes) => bytes.len() as u64,
            Data::Deflated(_, size) => {
                Count::new(Limit::Inflated, &heap.policy.limits).allows(*size)?;
                *size
            }
            Data::Awaited | Data::View(..) => unreachable!("members have bytes"),
        };
        if has != bytes {
            let name = shown(&name);
            return Err(Fault::malformed(format!("the zip's member {name:?} has {has} bytes; the pickle expects {bytes} in it")));
        }
        heap.bytes.spend(key.len() as u64)?;
        let (file, big_endian, data) = (heap.file.clone(), self.big_endian, data.clone());
        let storage = heap.storage(Storage { file, key: key.as_str().into(), dtype, bytes, big_endian, data })?;
        let id = heap.push(Value::Storage(storage))?;
        self.known.insert((key, dtype), id);
        Ok(id)
    }
}
