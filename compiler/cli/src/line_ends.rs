//! Line breaks: what is put into a text has those of the text.

/// A text with the line breaks of another.
pub(crate) fn with_line_ends_of(other: &str, text: &str) -> String {
    let carriage = other.find('\n').is_some_and(|at| other.get(..at).is_some_and(|line| line.ends_with('\r')));
    if carriage { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text.to_owned() }
}
