//! Keys as Kubernetes makes them of scalars, keys that are there twice, and values that JSON cannot hold.

use crate::problem::{MOST_PROBLEMS, Problem};
use crate::rules::{DUPLICATE_KEY, NOT_JSON};
use crate::scalar::{Scalar, resolve};
use crate::tape::{Entry, Kind, Tape, after, scalar_text};
use std::collections::HashMap;

/// Mappings up to this size are searched for duplicates by comparing all keys; larger ones by hashing.
const SMALL: usize = 24;

/// Makes every key of `tape` a string and reports what is wrong with keys and values. `text` is the document's,
/// which begins at byte `base` of the source. Merge keys are left alone.
pub(crate) fn check(tape: &mut Tape, text: &str, base: u32, problems: &mut Vec<Problem>) {
    let mut keys: Vec<(u64, u32)> = Vec::new();
    for index in 0..tape.len() {
        let Some(&entry) = tape.entries.get(index as usize) else { break };
        if problems.len() >= MOST_PROBLEMS {
            break;
        }
        if entry.kind == Kind::Mapping {
            keys.clear();
            let mut key = index + 1;
            while key < entry.link {
                name_key(tape, key, text, base, problems);
                if let Some(name) = tape.entries.get(key as usize) {
                    keys.push((fingerprint(scalar_text(name, text, base, &tape.strings)), key));
                }
                key = after(&tape.entries, after(&tape.entries, key));
            }
            report_duplicates(&keys, tape, text, base, problems);
        } else if entry.plain && matches!(entry.span.end - entry.span.start, 4 | 5) {
            let written = scalar_text(&entry, text, base, &tape.strings);
            let number = written.starts_with(['.', '+', '-']);
            if number && matches!(resolve(written), Scalar::Float(value) if !value.is_finite()) {
                let message = format!("Kubernetes turns YAML into JSON, which has no number `{written}`");
                problems.push(Problem::new(&NOT_JSON, entry.span, message).help("quote it if text is meant"));
            }
        }
    }
}

/// Whether `entry` is the key of a merge.
pub(crate) fn is_merge(entry: &Entry, text: &str, base: u32) -> bool {
    entry.plain && entry.kind == Kind::Bare && scalar_text(entry, text, base, &[]) == "<<"
}

fn name_key(tape: &mut Tape, index: u32, text: &str, base: u32, problems: &mut Vec<Problem>) {
    let Tape { entries, strings } = tape;
    let Some(entry) = entries.get_mut(index as usize) else { return };
    if matches!(entry.kind, Kind::Mapping | Kind::Sequence | Kind::Alias) {
        let message = "a mapping or a sequence cannot be a key: the keys of Kubernetes objects are strings";
        problems.push(Problem::new(&NOT_JSON, entry.span, message).help("quote it if text is meant"));
        return;
    }
    if !entry.plain || is_merge(entry, text, base) {
        return;
    }
    entry.plain = false;
    let written = scalar_text(entry, text, base, strings);
    let name = match resolve(written) {
        Scalar::String(_) => return,
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => float_name(value),
        Scalar::Null => {
            let (message, help) = match written {
                "" => ("there is no key before this `:`".to_owned(), "write one, or quote the line if text is meant"),
                _ => (format!("`{written}` means null, which cannot be a key"), "quote it if text is meant"),
            };
            problems.push(Problem::new(&NOT_JSON, entry.span, message).help(help));
            return;
        }
        Scalar::Uint(_) => {
            let message = format!("the number `{written}` is too large to be a key");
            problems.push(Problem::new(&NOT_JSON, entry.span, message).help("quote it"));
            return;
        }
    };
    if name != written {
        entry.kind = Kind::Owned;
        entry.link = strings.len() as u32;
        strings.push(name.into());
    }
}

/// A number as a key: the shortest digits that make the same 32-bit number, with an exponent below 10^-4 and from
/// 10^6 on.
fn float_name(value: f64) -> String {
    let value = value as f32;
    if !value.is_finite() {
        let name = if value.is_nan() {
            ".nan"
        } else if value > 0.0 {
            ".inf"
        } else {
            "-.inf"
        };
        return name.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    value.to_string()
}

/// Equal for equal texts, and mostly not for others.
fn fingerprint(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut head = [0; 8];
    let mut tail = [0; 8];
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => (head, tail) = (*first, *last),
        _ => {
            for (to, from) in head.iter_mut().zip(bytes) {
                *to = *from;
            }
        }
    }
    u64::from_le_bytes(head) ^ u64::from_le_bytes(tail).rotate_left(23) ^ (bytes.len() as u64).rotate_left(56)
}

fn report_duplicates(keys: &[(u64, u32)], tape: &Tape, text: &str, base: u32, problems: &mut Vec<Problem>) {
    let name = |key: u32| {
        let entry = tape.entries.get(key as usize);
        let entry = entry.filter(|entry| !matches!(entry.kind, Kind::Mapping | Kind::Sequence | Kind::Alias))?;
        Some((entry.span, scalar_text(entry, text, base, &tape.strings)))
    };
    let mut report = |first: u32, second: u32| {
        if problems.len() >= MOST_PROBLEMS {
            return;
        }
        let (Some((first, _)), Some((span, name))) = (name(first), name(second)) else { return };
        let problem = Problem::new(&DUPLICATE_KEY, span, format!("`{name}` is there twice; only one can count"));
        problems.push(problem.help("remove one, or merge the two").related(first, "the first one"));
    };
    if keys.len() > SMALL {
        let mut seen: HashMap<&str, u32> = HashMap::with_capacity(keys.len());
        for &(_, key) in keys {
            let Some((_, text)) = name(key) else { continue };
            if let Some(first) = seen.get(text) {
                report(*first, key);
            } else {
                seen.insert(text, key);
            }
        }
        return;
    }
    for (count, &(print, key)) in keys.iter().enumerate() {
        let earlier = keys.get(..count).unwrap_or_default().iter().filter(|(other, _)| *other == print);
        let text = |key: u32| name(key).map(|(_, text)| text);
        if let Some((_, first)) =
            earlier.into_iter().find(|(_, other)| text(*other).is_some() && text(*other) == text(key))
        {
            report(*first, key);
        }
    }
}
