//! The quick reader: the YAML that manifests are written in, straight onto the tape.
//!
//! It knows block mappings and sequences, plain and quoted scalars of one line, comments, and flow style on one line
//! (or, at the top of a document, on any number: JSON). At anything else it gives up, and the document is read by
//! [`crate::granit`]. What it reads, it reads as granit does, to the last span; the fuzz target holds it to that.

use crate::granit::MAX_DEPTH;
use crate::span::Span;
use crate::tape::{Kind, Tape};

/// The text holds something that only the complete reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsure;

type Sure<T = ()> = Result<T, Unsure>;

/// Keys longer than this are left to the complete reader, which limits them.
const LONGEST_KEY: usize = 1000;

/// Reads `text`, which begins at byte `base` of its source and whose characters are all
/// [simple](crate::characters::Characters::Simple), onto `tape`.
pub(crate) fn read(text: &str, base: u32, tape: &mut Tape) -> Sure {
    let mut reader =
        Reader { bytes: text.as_bytes(), at: 0, base, depth: 0, last_end: base, lines_in_flow: false, tape };
    let Some(column) = reader.next_content()? else { return Ok(()) };
    reader.lines_in_flow = matches!(reader.byte(0), Some(b'{' | b'['));
    reader.block_node(column, None)?;
    match reader.next_content()? {
        None => Ok(()),
        Some(_) => Err(Unsure),
    }
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
    base: u32,
    depth: usize,
    /// Where the last node ended.
    last_end: u32,
    /// Whether flow style may go over line ends.
    lines_in_flow: bool,
    tape: &'t mut Tape,
}

/// The bytes at which a plain scalar may end.
const MAY_END: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b"\n:#?,[]{}";
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

/// A scalar that has been found but not yet written.
#[derive(Clone, Copy)]
struct Scalar {
    start: usize,
    end: usize,
    kind: Kind,
}

impl Reader<'_> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn position(&self, at: usize) -> u32 {
        self.base + at as u32
    }

    fn blanks(&mut self) {
        while self.byte(0) == Some(b' ') {
            self.at += 1;
        }
    }

    fn line_end(&self) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        memchr::memchr(b'\n', rest).map_or(self.bytes.len(), |end| self.at + end)
    }

    /// From the start of a line, goes to the next line that holds anything; its indentation, or `None` at the end.
    fn next_content(&mut self) -> Sure<Option<usize>> {
        loop {
            let start = self.at;
            self.blanks();
            match self.byte(0) {
                None => return Ok(None),
                Some(b'\n') => self.at += 1,
                Some(b'#') => self.at = (self.line_end() + 1).min(self.bytes.len()),
                // The end of a document, or what looks like the start of one.
                Some(b'.' | b'-') if start == self.at && self.marker() => return Err(Unsure),
                Some(_) => return Ok(Some(self.at - start)),
            }
        }
    }

    fn marker(&self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        rest.starts_with(b"---") || rest.starts_with(b"...")
    }

    /// From behind a value to the start of the next line.
    fn finish_line(&mut self) -> Sure {
        let start = self.at;
        self.blanks();
        match self.byte(0) {
            None => Ok(()),
            Some(b'\n') => {
                self.at += 1;
                Ok(())
            }
            Some(b'#') if self.at > start => {
                self.at = (self.line_end() + 1).min(self.bytes.len());
                Ok(())
            }
            Some(_) => Err(Unsure),
        }
    }

    /// The column of the next line that holds anything, without going to it.
    fn peek_column(&mut self) -> Sure<Option<usize>> {
        let column = self.next_content()?;
        self.at -= column.unwrap_or(0);
        Ok(column)
    }

    fn is_dash(&self) -> bool {
        self.byte(0) == Some(b'-') && matches!(self.byte(1), None | Some(b' ' | b'\n'))
    }

    fn write(&mut self, scalar: Scalar) {
        let span = Span::new(self.position(scalar.start), self.position(scalar.end));
        self.last_end = span.end;
        self.tape.scalar(span, scalar.kind, scalar.kind == Kind::Bare);
    }

    fn null(&mut self, at: usize) {
        self.write(Scalar { start: at, end: at, kind: Kind::Bare });
    }

    /// Reads the node that begins here, at `column`, inside a block at `parent`; ends at the start of a line.
    fn block_node(&mut self, column: usize, parent: Option<usize>) -> Sure {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Unsure);
        }
        if self.is_dash() {
            self.block_sequence(column)?;
        } else if let Some(b'[' | b'{') = self.byte(0) {
            self.flow_node()?;
            self.finish_value(parent)?;
        } else {
            let scalar = self.scalar(false)?;
            let end = self.at;
            self.blanks();
            if self.byte(0) == Some(b':') {
                self.block_mapping(column, scalar)?;
            } else {
                self.at = end;
                self.write(scalar);
                self.finish_value(parent)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// From behind a value to the start of the next line, which must not go on with the value.
    fn finish_value(&mut self, parent: Option<usize>) -> Sure {
        self.finish_line()?;
        match self.peek_column()? {
            Some(column) if parent.is_none_or(|parent| column > parent) => Err(Unsure),
            _ => Ok(()),
        }
    }

    /// Reads a mapping from behind its first key.
    fn block_mapping(&mut self, column: usize, first: Scalar) -> Sure {
        let start = self.position(first.start);
        let mapping = self.tape.open(Kind::Mapping, start);
        let mut key = first;
        loop {
            if key.end - key.start > LONGEST_KEY || self.bytes.get(key.start..key.end) == Some(b"<<") {
                return Err(Unsure);
            }
            self.write(key);
            self.blanks();
            if self.byte(0) != Some(b':') {
                return Err(Unsure);
            }
            self.at += 1;
            self.block_value(column)?;
            match self.next_content()? {
                None => break,
                Some(next) if next < column || (next == column && self.is_dash()) => {
                    self.at -= next;
                    break;
                }
                Some(next) if next > column => return Err(Unsure),
                Some(_) => key = self.scalar(false)?,
            }
        }
        self.tape.close(mapping, self.last_end);
        Ok(())
    }

    /// Reads the value behind the `:` of a mapping at `column`.
    fn block_value(&mut self, column: usize) -> Sure {
        let colon = self.at;
        if !matches!(self.byte(0), None | Some(b' ' | b'\n')) {
            return Err(Unsure);
        }
        self.blanks();
        match self.byte(0) {
            None | Some(b'\n' | b'#') => {
                self.finish_line()?;
                match self.next_content()? {
                    None => self.null(colon),
                    Some(next) if next > column => self.block_node(next, Some(column))?,
                    Some(next) if next == column && self.is_dash() => {
                        self.nested(|reader| reader.block_sequence(next))?;
                    }
                    Some(next) => {
                        self.at -= next;
                        self.null(colon);
                    }
                }
                Ok(())
            }
            Some(b'[' | b'{') => {
                self.flow_node()?;
                self.finish_value(Some(column))
            }
            Some(_) => {
                let scalar = self.scalar(false)?;
                self.write(scalar);
                self.finish_value(Some(column))
            }
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Sure) -> Sure {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Unsure);
        }
        read(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn block_sequence(&mut self, column: usize) -> Sure {
        let sequence = self.tape.open(Kind::Sequence, self.position(self.at));
        loop {
            let dash = self.at;
            self.at += 1;
            self.blanks();
            if matches!(self.byte(0), None | Some(b'\n' | b'#')) {
                self.finish_line()?;
                match self.next_content()? {
                    Some(next) if next > column => self.block_node(next, Some(column))?,
                    next => {
                        self.at -= next.unwrap_or(0);
                        self.null(dash + 1);
                    }
                }
            } else {
                self.block_node(column + (self.at - dash), Some(column))?;
            }
            match self.next_content()? {
                None => break,
                Some(next) if next > column => return Err(Unsure),
                Some(next) if next < column || !self.is_dash() => {
                    self.at -= next;
                    break;
                }
                Some(_) => {}
            }
        }
        self.tape.close(sequence, self.last_end);
        Ok(())
    }

    /// Finds the scalar that begins here, all on one line, and goes behind it.
    fn scalar(&mut self, flow: bool) -> Sure<Scalar> {
        match self.byte(0).ok_or(Unsure)? {
            b'"' => self.quoted(b'"'),
            b'\'' => self.quoted(b'\''),
            first => self.plain(first, flow),
        }
    }

    fn quoted(&mut self, quote: u8) -> Sure<Scalar> {
        let start = self.at;
        let rest = self.bytes.get(start + 1..).unwrap_or_default();
        // A single quote is escaped by another one, everything else by a backslash in double quotes.
        let end = match quote {
            b'"' => memchr::memchr3(b'"', b'\\', b'\n', rest),
            _ => memchr::memchr2(b'\'', b'\n', rest),
        };
        let end = end.ok_or(Unsure)?;
        if rest.get(end) != Some(&quote) || (quote == b'\'' && rest.get(end + 1) == Some(&quote)) {
            return Err(Unsure);
        }
        self.at = start + end + 2;
        Ok(Scalar { start, end: self.at, kind: Kind::Quoted })
    }

    fn plain(&mut self, first: u8, flow: bool) -> Sure<Scalar> {
        let start = self.at;
        let indicator = match first {
            b'-' => true,
            b'?' | b':' if !flow => true,
            b'?' | b':' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'%' | b'@'
            | b'`' => {
                return Err(Unsure);
            }
            ..=b' ' => return Err(Unsure),
            _ => false,
        };
        if indicator && self.byte(1).is_none_or(|next| next <= b' ' || (flow && is_flow(next))) {
            return Err(Unsure);
        }
        let rest = self.bytes.get(start..).unwrap_or_default();
        let mut length = 0;
        for (at, byte) in rest.iter().enumerate() {
            length = at + 1;
            if !MAY_END[usize::from(*byte)] {
                continue;
            }
            length = at;
            match byte {
                b'\n' => break,
                b':' => match rest.get(at + 1) {
                    None | Some(..=b' ') => break,
                    Some(next) if flow && is_flow(*next) => break,
                    Some(_) => {}
                },
                b'#' if at > 0 && rest.get(at - 1) == Some(&b' ') => break,
                b'?' if flow => return Err(Unsure),
                byte if flow && is_flow(*byte) => break,
                _ => {}
            }
            length = at + 1;
        }
        let written = rest.get(..length).unwrap_or_default().trim_ascii_end();
        self.at = start + written.len();
        Ok(Scalar { start, end: self.at, kind: Kind::Bare })
    }

    /// Reads the flow mapping or sequence that begins here and goes behind it.
    fn flow_node(&mut self) -> Sure {
        self.nested(|reader| {
            let (kind, close) =
                if reader.byte(0) == Some(b'{') { (Kind::Mapping, b'}') } else { (Kind::Sequence, b']') };
            let node = reader.tape.open(kind, reader.position(reader.at));
            reader.at += 1;
            loop {
                reader.flow_blanks()?;
                if reader.byte(0) == Some(close) {
                    break;
                }
                if kind == Kind::Mapping {
                    reader.flow_key()?;
                }
                if let Some(b'[' | b'{') = reader.byte(0) {
                    reader.flow_node()?;
                } else {
                    let scalar = reader.scalar(true)?;
                    reader.write(scalar);
                }
                reader.flow_blanks()?;
                match reader.byte(0) {
                    Some(b',') => reader.at += 1,
                    Some(byte) if byte == close => break,
                    _ => return Err(Unsure),
                }
            }
            reader.at += 1;
            reader.last_end = reader.position(reader.at);
            reader.tape.close(node, reader.last_end);
            Ok(())
        })
    }

    /// Reads a key of a flow mapping and goes to its value.
    fn flow_key(&mut self) -> Sure {
        let key = self.scalar(true)?;
        if key.end - key.start > LONGEST_KEY || self.bytes.get(key.start..key.end) == Some(b"<<") {
            return Err(Unsure);
        }
        self.write(key);
        self.blanks();
        if self.byte(0) != Some(b':') {
            return Err(Unsure);
        }
        self.at += 1;
        if key.kind != Kind::Quoted && !matches!(self.byte(0), Some(b' ' | b'\n')) {
            return Err(Unsure);
        }
        self.flow_blanks()
    }

    fn flow_blanks(&mut self) -> Sure {
        loop {
            self.blanks();
            if self.byte(0) != Some(b'\n') || !self.lines_in_flow {
                return Ok(());
            }
            self.at += 1;
            if self.marker() {
                return Err(Unsure);
            }
        }
    }
}

fn is_flow(byte: u8) -> bool {
    matches!(byte, b',' | b'[' | b']' | b'{' | b'}')
}
