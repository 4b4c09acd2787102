//! Positions: editors count lines and UTF-16 units, spans count bytes.

use lsp_types::{Position, Range};
use malha_syntax::Span;

/// The lines of a text. A line ends with `\n`, `\r\n` or `\r`, as the protocol has it.
///
/// The text is walked over once: a document may be one long line.
pub(super) struct Lines<'t> {
    text: &'t str,
    /// The first byte of each line.
    starts: Vec<usize>,
    /// The characters that have more bytes than units: where each begins, and how many more up to its end.
    wide: Vec<(usize, usize)>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Lines<'t> {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        let (mut wide, mut more) = (Vec::new(), 0);
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                starts.push(at + 1);
            } else if let 0xC2.. = *byte {
                // The first byte of a character of two bytes, of three, or of four, which UTF-16 has in two units.
                more += if *byte < 0xE0 { 1 } else { 2 };
                wide.push((at, more));
            }
        }
        Lines { text, starts, wide }
    }

    /// The units before a byte, from the start of the text. A character that the byte is within counts whole.
    fn units(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset += 1;
        }
        let before = self.wide.partition_point(|(start, _)| *start < offset);
        let more = before.checked_sub(1).and_then(|last| self.wide.get(last)).map_or(0, |(_, more)| *more);
        offset - more
    }

    /// The byte at a position. Past the end of a line it is the end, past the last line that of the text; within a
    /// character it is the character's first byte.
    pub(super) fn offset(&self, position: Position) -> usize {
        let line = position.line as usize;
        let Some(&start) = self.starts.get(line) else { return self.text.len() };
        let end = self.starts.get(line + 1).copied().unwrap_or(self.text.len());
        let content = self.text.get(start..end).unwrap_or_default().trim_end_matches(['\r', '\n']);
        let wanted = self.units(start).saturating_add(position.character as usize);
        // The last byte with no more units before it.
        let (mut low, mut high) = (start, start + content.len());
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.units(middle) <= wanted {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    /// The bytes of a range; an end before the start is taken for the start.
    pub(super) fn bytes(&self, range: Range) -> std::ops::Range<usize> {
        let start = self.offset(range.start);
        start..self.offset(range.end).max(start)
    }

    /// The position of a byte; one past the end counts as the end.
    pub(super) fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset).max(1) - 1;
        let start = self.starts.get(line).copied().unwrap_or_default();
        // Spans lie between characters; if one did not, its character would count whole.
        Position { line: line as u32, character: (self.units(offset) - self.units(start)) as u32 }
    }

    /// The range of a span.
    pub(super) fn range(&self, span: Span) -> Range {
        Range { start: self.position(span.start as usize), end: self.position(span.end.max(span.start) as usize) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[test]
    fn characters_outside_the_plane_count_twice() {
        let lines = Lines::new("a: ä𝄞x\nb: y");
        assert_eq!(lines.offset(at(0, 3)), 3);
        assert_eq!(lines.offset(at(0, 4)), 5);
        assert_eq!(lines.offset(at(0, 6)), 9);
        // The middle of a pair is its start.
        assert_eq!(lines.offset(at(0, 5)), 5);
        for position in [at(0, 0), at(0, 3), at(0, 4), at(0, 6), at(0, 7), at(1, 0), at(1, 4)] {
            assert_eq!(lines.position(lines.offset(position)), position);
        }
    }

    #[test]
    fn every_byte_is_where_walking_would_find_it() {
        for text in ["", "a: ä𝄞x\nb: €y\r\n𝄞𝄞\rä", "\u{feff}ä\n\n", "𝄞\r\r\n€"] {
            let lines = Lines::new(text);
            for (at, _) in text.char_indices().chain([(text.len(), ' ')]) {
                let before = &text[..at];
                // A byte between `\r` and `\n` is still of the line that they end.
                let is_split = before.ends_with('\r') && text[at..].starts_with('\n');
                let whole = if is_split { &before[..at - 1] } else { before };
                let ends = whole.replace("\r\n", "\n").replace('\r', "\n");
                let line = ends.matches('\n').count();
                let units = ends.rsplit('\n').next().expect("a line").encode_utf16().count() + usize::from(is_split);
                let position = lines.position(at);
                assert_eq!((position.line as usize, position.character as usize), (line, units), "{text:?} {at}");
                assert!(is_split || lines.offset(position) == at, "{text:?} {at}");
            }
        }
    }

    #[test]
    fn lines_end_in_three_ways() {
        let lines = Lines::new("a\r\nb\rc\nd");
        assert_eq!([at(0, 0), at(1, 0), at(2, 0), at(3, 0)].map(|start| lines.offset(start)), [0, 3, 5, 7]);
        // A break belongs to no column.
        assert_eq!(lines.offset(at(0, 9)), 1);
        assert_eq!(lines.offset(at(3, 9)), 8);
        assert_eq!(lines.offset(at(9, 0)), 8);
    }

    #[test]
    fn ranges_that_go_backwards_are_empty() {
        let range = Range { start: at(0, 2), end: at(0, 1) };
        assert_eq!(Lines::new("abc").bytes(range), 2..2);
    }
}
