//! The lines of a text around a byte, to say what an error there is about.

/// One line, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'t> {
    /// Its text without the line break.
    pub(crate) text: &'t str,
    /// Its first byte.
    pub(crate) start: usize,
}

impl<'t> Line<'t> {
    /// The line that holds byte `at` of `text`.
    pub(crate) fn at(text: &'t str, at: usize) -> Self {
        let start = text.get(..at).unwrap_or(text).rfind('\n').map_or(0, |newline| newline + 1);
        let rest = text.get(start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        Line { text: line.strip_suffix('\r').unwrap_or(line), start }
    }

    /// How many blanks it begins with.
    pub(crate) fn indentation(self) -> usize {
        self.text.len() - self.text.trim_start_matches(' ').len()
    }

    /// Its first tab, if that is among the blanks that it begins with.
    pub(crate) fn indenting_tab(self) -> Option<usize> {
        let indentation = self.text.len() - self.text.trim_start_matches([' ', '\t']).len();
        self.text.get(..indentation)?.find('\t').map(|tab| self.start + tab)
    }

    /// What stands on it, without the blanks around.
    pub(crate) fn content(self) -> &'t str {
        self.text.trim()
    }

    fn holds_something(self) -> bool {
        !self.content().is_empty() && !self.content().starts_with('#')
    }
}

/// The last line above the byte `at` that holds more than a comment.
pub(crate) fn above(text: &str, at: usize) -> Option<Line<'_>> {
    let mut line = Line::at(text, at);
    while line.start > 0 {
        line = Line::at(text, line.start - 1);
        if line.holds_something() {
            return Some(line);
        }
    }
    None
}

/// The columns at which the blocks begin that are open above the line of byte `at`, with what stands there; innermost
/// first.
pub(crate) fn open_blocks(text: &str, at: usize) -> Vec<(usize, &str)> {
    let mut blocks: Vec<(usize, &str)> = Vec::new();
    let mut line = Line::at(text, at);
    while let Some(next) = above(text, line.start) {
        line = next;
        let mut column = line.indentation();
        let mut content = line.content();
        let mut found = vec![(column, content)];
        // Behind a dash another block begins.
        while let Some(rest) = content.strip_prefix("- ") {
            column += content.len() - rest.trim_start().len();
            content = rest.trim_start();
            found.push((column, content));
        }
        for block in found.into_iter().rev() {
            if blocks.last().is_none_or(|(column, _)| block.0 < *column) {
                blocks.push(block);
            }
        }
        if blocks.last().is_some_and(|(column, _)| *column == 0) {
            break;
        }
    }
    blocks
}

/// The bracket in `text` that is open at byte `at`, if there is one: the innermost.
pub(crate) fn open_bracket(text: &str, at: usize) -> Option<usize> {
    let mut open = Vec::new();
    let mut quote = None;
    let mut escaped = false;
    let mut previous = b' ';
    for (at, byte) in text.get(..at)?.bytes().enumerate() {
        match quote {
            Some(b'"') if escaped => escaped = false,
            Some(b'"') if byte == b'\\' => escaped = true,
            Some(mark) if byte == mark => quote = None,
            Some(_) => {}
            None => match byte {
                b'"' | b'\'' if matches!(previous, b' ' | b'\n' | b'[' | b'{' | b',' | b':') => quote = Some(byte),
                b'[' | b'{' if !open.is_empty() || matches!(previous, b' ' | b'\n') => open.push(at),
                b']' | b'}' => {
                    open.pop();
                }
                _ => {}
            },
        }
        previous = byte;
    }
    open.pop()
}

/// The end of the word that begins at byte `at`: up to a blank, or a comma or bracket if it is written in flow style.
pub(crate) fn word_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}')).unwrap_or(rest.len())
}
