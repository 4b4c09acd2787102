//! What is asked of every record.

use super::LoadError;
use crate::{
    Table,
    format::{NONE, Range, Section, Str, U32},
};
use std::cell::Cell;
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// What is wrong with a record.
pub(super) type Broken = &'static str;

/// A record that can be checked.
pub(super) trait Check {
    /// Checks all that evaluation relies on; `index` is its own place.
    fn check(&self, checker: &Checker<'_>, index: usize) -> Result<(), Broken>;
}

/// The table under examination.
pub(super) struct Checker<'t> {
    pub(super) table: &'t Table,
    strings: &'t str,
    source_strings: &'t str,
    /// How many more elements of lists are looked at. Ranges may overlap, so that a small table could ask for a lot of
    /// work; what a back end writes stays far below.
    budget: Cell<u64>,
    /// How many more bytes of strings are read or kept. Strings may overlap too.
    text_budget: Cell<u64>,
}

impl<'t> Checker<'t> {
    pub(super) fn new(table: &'t Table) -> Result<Self, LoadError> {
        let pool = |section| {
            let text = std::str::from_utf8(table.section_bytes(section));
            text.map_err(|error| LoadError::Record { section, index: error.valid_up_to(), what: "it is not UTF-8" })
        };
        let length = table.bytes.len() as u64;
        Ok(Checker {
            table,
            strings: pool(Section::Strings)?,
            source_strings: pool(Section::SourceStrings)?,
            budget: Cell::new(1_000_000 + 64 * length),
            text_budget: Cell::new((16 << 20) + 16 * length),
        })
    }

    /// Checks every record of a section.
    pub(super) fn section<T>(&self, section: Section) -> Result<(), LoadError>
    where
        T: Check + FromBytes + Immutable + KnownLayout,
    {
        for (index, record) in self.table.section::<T>(section).iter().enumerate() {
            record.check(self, index).map_err(|what| LoadError::Record { section, index, what })?;
        }
        Ok(())
    }

    /// Pays for looking at so many elements of lists.
    pub(super) fn pay(&self, elements: usize) -> Result<(), Broken> {
        let left = self.budget.get().checked_sub(elements as u64).ok_or("its lists overlap too much")?;
        self.budget.set(left);
        Ok(())
    }

    /// Pays for reading a string as a whole, now or when the table is made ready.
    pub(super) fn pay_text(&self, text: &str) -> Result<(), Broken> {
        let left = self.text_budget.get().checked_sub(text.len() as u64).ok_or("its strings overlap too much")?;
        self.text_budget.set(left);
        Ok(())
    }

    /// A string that must be there.
    pub(super) fn str(&self, text: Str) -> Result<&'t str, Broken> {
        in_pool(self.strings, text)
    }

    pub(super) fn optional_str(&self, text: Str) -> Result<Option<&'t str>, Broken> {
        if text.is_some() { self.str(text).map(Some) } else { no_str(text).map(|()| None) }
    }

    pub(super) fn source_str(&self, text: Str) -> Result<(), Broken> {
        in_pool(self.source_strings, text).map(|_| ())
    }

    pub(super) fn optional_source_str(&self, text: Str) -> Result<(), Broken> {
        if text.is_some() { self.source_str(text) } else { no_str(text) }
    }

    /// Consecutive records of a section.
    pub(super) fn range(&self, section: Section, range: Range) -> Result<(), Broken> {
        let end = u64::from(range.first.get()) + u64::from(range.count.get());
        if end <= self.count(section) as u64 { Ok(()) } else { Err("a range lies outside of its section") }
    }

    pub(super) fn ranges(&self, section: Section, ranges: &[Range]) -> Result<(), Broken> {
        ranges.iter().try_for_each(|range| self.range(section, *range))
    }

    /// An index into a section.
    pub(super) fn index(&self, section: Section, index: U32) -> Result<(), Broken> {
        if (index.get() as usize) < self.count(section) { Ok(()) } else { Err("an index lies outside of its section") }
    }

    pub(super) fn optional_index(&self, section: Section, index: U32) -> Result<(), Broken> {
        if index.get() == NONE { Ok(()) } else { self.index(section, index) }
    }

    /// A list of numbers, all below `bound`.
    pub(super) fn numbers_below(&self, range: Range, bound: usize) -> Result<&'t [U32], Broken> {
        self.range(Section::Numbers, range)?;
        let numbers = self.table.numbers(range);
        self.pay(numbers.len())?;
        if numbers.iter().all(|number| (number.get() as usize) < bound) {
            Ok(numbers)
        } else {
            Err("a number is too large")
        }
    }

    /// A list of numbers in ascending order, all below `bound`.
    pub(super) fn ascending_below(&self, range: Range, bound: usize) -> Result<&'t [U32], Broken> {
        let numbers = self.numbers_below(range, bound)?;
        if numbers.is_sorted_by(|one, next| one.get() < next.get()) {
            Ok(numbers)
        } else {
            Err("numbers are not in order")
        }
    }

    pub(super) fn count(&self, section: Section) -> usize {
        self.table.section_bytes(section).len() / section.record_size()
    }
}

fn in_pool(pool: &str, text: Str) -> Result<&str, Broken> {
    let start = text.offset.get() as usize;
    pool.get(start..start + text.length.get() as usize).ok_or("a string lies outside of its pool")
}

fn no_str(text: Str) -> Result<(), Broken> {
    if text.length.get() == 0 { Ok(()) } else { Err("a string that is not there has a length") }
}

/// A number that stands for one of a few.
pub(super) fn below(number: U32, bound: u32) -> Result<(), Broken> {
    if number.get() < bound { Ok(()) } else { Err("a number stands for nothing known") }
}
