//! What XML can hold.

/// Text without the characters that XML 1.0 cannot hold, however they are escaped.
pub(crate) fn clean(text: &str) -> String {
    let holds = |character: char| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    text.chars().map(|character| if holds(character) { character } else { char::REPLACEMENT_CHARACTER }).collect()
}
