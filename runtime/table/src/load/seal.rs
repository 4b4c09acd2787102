//! The checksums of a table.

use crate::format::{Header, Section, SectionEntry};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};
use zerocopy::FromBytes;

/// Writes the checksums of a table whose other bytes are done. What is no table stays as it is.
pub(crate) fn seal(bytes: &mut [u8]) {
    let program = program_hash(bytes);
    if let (Some(program), Ok((header, rest))) = (program, Header::mut_from_prefix(bytes)) {
        header.checksum = xxh3_64(rest).into();
        header.program = program.into();
    }
}

/// The hash over all sections but those of the source map. None if the directory leads outside.
pub(super) fn program_hash(bytes: &[u8]) -> Option<u64> {
    let (header, rest) = Header::ref_from_prefix(bytes).ok()?;
    let (entries, _) = <[SectionEntry]>::ref_from_prefix_with_elems(rest, header.sections.get() as usize).ok()?;
    let mut hasher = Xxh3::new();
    for entry in entries {
        let kind = entry.kind.get();
        if Section::ALL.iter().any(|section| *section as u32 == kind && section.is_source_map()) {
            continue;
        }
        let start = usize::try_from(entry.offset.get()).ok()?;
        let end = start.checked_add(usize::try_from(entry.length.get()).ok()?)?;
        hasher.update(&kind.to_le_bytes());
        hasher.update(&entry.length.get().to_le_bytes());
        hasher.update(bytes.get(start..end)?);
    }
    Some(hasher.digest())
}
