//! A source as miette reads it: by line index, so that a finding deep in a large file costs no more than any other.

use malha_syntax::Source;
use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// Lends miette the lines of a source.
pub(super) struct IndexedSource<'s>(pub(super) &'s Source);

impl SourceCode for IndexedSource<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let text = self.0.text.as_bytes();
        let end = span.offset().checked_add(span.len()).filter(|&end| end <= text.len());
        let end = end.ok_or(MietteError::OutOfBounds)?;
        // The last byte of the span: its end may be the first byte of the next line.
        let last = end.saturating_sub(1).max(span.offset());
        let line = |offset: usize| self.0.line_column(offset as u32).line;
        let first_line = line(span.offset()).saturating_sub(lines_before as u32).max(1);
        let last_line = line(last).saturating_add(lines_after as u32);
        let (start, column) = match (lines_before, self.0.line_span(first_line)) {
            (0, _) | (_, None) => (span.offset(), self.0.line_column(span.offset() as u32).column as usize - 1),
            (_, Some(line)) => (line.start as usize, 0),
        };
        let stop = self.0.line_span(last_line + 1).map_or(text.len(), |next| next.start as usize);
        let lines = (last_line + 1).saturating_sub(first_line) as usize;
        Ok(Box::new(MietteSpanContents::new_named(
            self.0.name.clone(),
            &text[start..stop.max(start)],
            (start, stop.max(start) - start).into(),
            first_line as usize - 1,
            column,
            lines,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_cut_at_lines() {
        let source = Source::new("a.yaml", "one\ntwo\nthree\nfour\n");
        let indexed = IndexedSource(&source);
        let told = indexed.read_span(&(8, 5).into(), 1, 1).expect("it is inside");
        assert_eq!(told.data(), b"two\nthree\nfour\n");
        assert_eq!((told.line(), told.column()), (1, 0));
        let alone = indexed.read_span(&(9, 2).into(), 0, 0).expect("it is inside");
        assert_eq!((alone.data(), alone.line(), alone.column()), (&b"hree\n"[..], 2, 1));
        assert!(indexed.read_span(&(18, 5).into(), 1, 1).is_err());
    }
}
