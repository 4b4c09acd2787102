//! `file:` URIs and paths.

use lsp_types::Uri;
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The file that a URI names, its directory without links, as inputs have it; none if it names no file.
pub(super) fn path(uri: &Uri) -> Option<PathBuf> {
    let rest = uri.as_str().strip_prefix("file://")?;
    // An authority is this machine's name, or nothing.
    let text = decoded(rest.get(rest.find('/')?..)?)?;
    let path = Path::new(without_slash_before_drive(&text));
    let directory = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
    Some(match (directory, path.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        _ => path.to_owned(),
    })
}

/// The URI of a file.
pub(super) fn of(path: &Path) -> Option<Uri> {
    let text = path.to_str()?.replace('\\', "/");
    let mut uri = String::from(if text.starts_with('/') { "file://" } else { "file:///" });
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.parse().ok()
}

/// `/C:/a` is `C:/a` where there are drives.
fn without_slash_before_drive(text: &str) -> &str {
    match text.as_bytes() {
        [b'/', drive, b':', ..] if cfg!(windows) && drive.is_ascii_alphabetic() => &text[1..],
        _ => text,
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_both_ways() {
        let path_ = Path::new("/nowhere at all/ä%/a+b.yaml");
        let uri = of(path_).expect("it is a path");
        assert_eq!(uri.as_str(), "file:///nowhere%20at%20all/%C3%A4%25/a%2Bb.yaml");
        assert_eq!(path(&uri).as_deref(), Some(path_));
    }

    #[test]
    fn what_names_no_file_is_no_path() {
        for uri in ["untitled:Untitled-1", "file:///a%zz"] {
            assert_eq!(uri.parse().ok().as_ref().and_then(path), None, "{uri}");
        }
    }
}
