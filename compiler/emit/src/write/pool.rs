//! Interned content: equal strings and equal lists of records lie in a table once, whoever asks for them. So what is
//! shared depends on content alone, and equal programs become equal bytes.

use super::EmitError;
use hashbrown::HashTable;
use malha_table::format::{Range, Str, U32};
use xxhash_rust::xxh3::xxh3_64;
use zerocopy::{Immutable, IntoBytes};

/// Strings, one after the other.
#[derive(Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
    known: HashTable<(u32, u32)>,
}

impl Strings {
    pub(super) fn str(&mut self, text: &str) -> Result<Str, EmitError> {
        let bytes = &self.bytes;
        let slice = |&(offset, length): &(u32, u32)| &bytes[offset as usize..][..length as usize];
        let hash = xxh3_64(text.as_bytes());
        if let Some(&(offset, length)) = self.known.find(hash, |known| slice(known) == text.as_bytes()) {
            return Ok(Str { offset: offset.into(), length: length.into() });
        }
        let end = self.bytes.len() + text.len();
        // The highest offset says that there is no string.
        let fits = u32::try_from(end).ok().filter(|&end| end != u32::MAX);
        let length = text.len() as u32;
        let offset = fits.ok_or(EmitError::TooLarge)? - length;
        self.known.insert_unique(hash, (offset, length), |known| xxh3_64(slice(known)));
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(Str { offset: offset.into(), length: length.into() })
    }

    pub(super) fn optional(&mut self, text: Option<&str>) -> Result<Str, EmitError> {
        text.map_or(Ok(Str::NONE), |text| self.str(text))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Lists of records of one kind, one after the other.
pub(super) struct Lists<T> {
    records: Vec<T>,
    known: HashTable<(u32, u32)>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Lists { records: Vec::new(), known: HashTable::new() }
    }
}

impl<T: IntoBytes + Immutable + Copy> Lists<T> {
    /// The place of a list of records.
    pub(super) fn list(&mut self, list: &[T]) -> Result<Range, EmitError> {
        if list.is_empty() {
            return Ok(Range::EMPTY);
        }
        let records = &self.records;
        let bytes = |&(first, count): &(u32, u32)| records[first as usize..][..count as usize].as_bytes();
        let hash = xxh3_64(list.as_bytes());
        if let Some(&(first, count)) = self.known.find(hash, |known| bytes(known) == list.as_bytes()) {
            return Ok(Range { first: first.into(), count: count.into() });
        }
        let end = u32::try_from(self.records.len() + list.len()).ok().filter(|&end| end != u32::MAX);
        let count = list.len() as u32;
        let first = end.ok_or(EmitError::TooLarge)? - count;
        self.known.insert_unique(hash, (first, count), |known| xxh3_64(bytes(known)));
        self.records.extend_from_slice(list);
        Ok(Range { first: first.into(), count: count.into() })
    }

    /// The place of a single record.
    pub(super) fn one(&mut self, record: T) -> Result<U32, EmitError> {
        self.list(std::slice::from_ref(&record)).map(|range| range.first)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.records.as_bytes()
    }
}
