//! `--fix` and `--unsafe-fixes`.

use super::{
    DEAD,
    command::{malha, tree, write},
    places, report,
};
use std::{fs, path::Path, process::Command};

fn lines_without(text: &str, gone: &[usize]) -> String {
    let kept = text.split_inclusive('\n').enumerate().filter(|(index, _)| !gone.contains(&(index + 1)));
    kept.map(|(_, line)| line).collect()
}

type Encode = dyn Fn(&str) -> Vec<u8>;

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("\u{FEFF}{text}").encode_utf16().flat_map(unit).collect()
}

fn bytes(directory: &Path) -> Vec<u8> {
    fs::read(directory.join("a.yaml")).expect("it is there")
}

#[test]
fn a_safe_fix_changes_nothing_but_its_lines() {
    let mesh = tree(&[("a.yaml", DEAD)]);
    let told = malha(mesh.path(), &["check", "--fix", "--format", "concise"]);
    assert_eq!(told.status, 1, "{}", told.err);
    assert!(told.out.starts_with("a.yaml:12:13: error[R001]"), "{}", told.out);
    assert_eq!(
        told.err,
        "1 finding fixed in 1 file\n1 finding with a fix that may change how requests are treated: see --unsafe-fixes\n"
    );
    assert_eq!(bytes(mesh.path()), lines_without(DEAD, &[11, 12]).as_bytes());
    let again = malha(mesh.path(), &["check", "--unsafe-fixes"]);
    assert_eq!((again.status, again.err.as_str()), (0, "1 finding fixed in 1 file\n"), "{}", again.out);
    assert_eq!(bytes(mesh.path()), lines_without(DEAD, &[11, 12, 14, 15]).as_bytes());
    let last = malha(mesh.path(), &["check", "--unsafe-fixes"]);
    assert_eq!((last.status, last.err.as_str()), (0, "0 findings fixed in 0 files\n"));
}

#[test]
fn every_encoding_and_line_break_stays_as_it_was() {
    let after = lines_without(DEAD, &[11, 12, 14, 15]);
    let two = |text: &str| format!("# \u{1F980} é\n{text}---\n{}", text.replace("shop", "other"));
    let encodings: [(&str, &Encode); 5] = [
        ("plain", &|text| text.as_bytes().to_vec()),
        ("CRLF", &|text| text.replace('\n', "\r\n").into_bytes()),
        ("a mark", &|text| format!("\u{FEFF}{text}").into_bytes()),
        ("UTF-16, lower first", &|text| utf16(text, u16::to_le_bytes)),
        ("UTF-16, upper first", &|text| utf16(&text.replace('\n', "\r\n"), u16::to_be_bytes)),
    ];
    for (what, encode) in encodings {
        let mesh = tree(&[]);
        fs::write(mesh.path().join("a.yaml"), encode(&two(DEAD))).expect("a file");
        let told = malha(mesh.path(), &["check", "--unsafe-fixes"]);
        assert_eq!((told.status, told.err.as_str()), (0, "4 findings fixed in 1 file\n"), "{what}: {}", told.out);
        assert_eq!(bytes(mesh.path()), encode(&two(&after)), "{what}");
    }
}

#[test]
fn fixes_that_meet_are_applied_one_after_the_other() {
    // Both slips are in one line, and the second is only read once the first is mended.
    let text = DEAD.replace("kind: VirtualService", "kind: VirtualServise").replace("hosts: [", "hsts: [");
    let mesh = tree(&[("a.yaml", &lines_without(&text, &[11, 12, 14, 15]))]);
    let (_, before) = report(mesh.path(), &[]);
    assert_eq!(places(&before), ["K011 a.yaml:2"]);
    let told = malha(mesh.path(), &["check", "--unsafe-fixes"]);
    // The kind is no longer unknown, but then two fields are wrong: that fix brings findings.
    assert!(told.err.contains("not fixed: a.yaml:2: "), "{}", told.err);
    assert!(told.err.contains("it would bring K00"), "{}", told.err);
    assert_eq!(bytes(mesh.path()), lines_without(&text, &[11, 12, 14, 15]).as_bytes());

    // A dead rule whose one match is needless as well: whatever goes first takes the other with it.
    let nested = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example.com]
  http:
  - directResponse: {status: 200}
  - match:
    - uri: {prefix: /a}
    - uri: {prefix: /a/b}
    directResponse: {status: 404}
";
    let mesh = tree(&[("a.yaml", nested)]);
    let told = malha(mesh.path(), &["check", "--unsafe-fixes"]);
    assert_eq!(told.status, 0, "{}{}", told.out, told.err);
    assert_eq!(bytes(mesh.path()), lines_without(nested, &[8, 9, 10, 11]).as_bytes());
}

#[test]
fn a_fix_that_would_bring_a_finding_is_left_out_and_the_others_are_not() {
    // Once the field has its name, the object takes part, and a dead rule shows.
    let hidden = DEAD.replace("status: 503", "statos: 503");
    // Of two slips in one object, one can be mended: it is refused for the other as before.
    let twice =
        DEAD.replace("status: 503", "statos: 503").replace("status: 404", "statos: 404").replace("shop", "twice");
    let several = format!("{}---\n{}---\n{twice}", hidden, hidden.replace("shop", "again"));
    let other = DEAD.replace("shop", "other");
    let mesh = tree(&[("a.yaml", several.as_str()), ("b.yaml", &other)]);
    let told = malha(mesh.path(), &["check", "--unsafe-fixes", "--format", "concise"]);
    assert_eq!(told.status, 1);
    let refused: Vec<&str> = told.err.lines().filter(|line| line.starts_with("not fixed: ")).collect();
    assert_eq!(refused.len(), 3, "{}", told.err);
    for line in [16, 33, 50] {
        let start = format!("not fixed: a.yaml:{line}: rename `statos` to `status`: ");
        assert!(refused.iter().any(|refused| refused.starts_with(&start)), "{start}: {}", told.err);
    }
    let brings = "it would bring R001 rule-shadowed at a.yaml:11: no request reaches";
    assert!(refused[0].contains(brings), "{}", told.err);
    // What is gone is counted, not the fixes: with the slip goes the want of its field.
    assert!(told.err.ends_with("4 findings fixed in 2 files\n"), "{}", told.err);
    let (before, after) = several.split_at(several.find("statos: 404").expect("it is there"));
    assert_eq!(bytes(mesh.path()), format!("{before}{}", after.replacen("statos", "status", 1)).as_bytes());
}

#[test]
fn files_that_cannot_be_changed_are_left_as_they_are() {
    let mesh = tree(&[("b.yaml", &DEAD.replace("shop", "other"))]);
    let broken = [b"# \xFF\n---\n", DEAD.as_bytes()].concat();
    fs::write(mesh.path().join("a.yaml"), &broken).expect("a file");
    let told = malha(mesh.path(), &["check", "--fix", "--ignore", "Y"]);
    assert_eq!(told.status, 2, "{}", told.err);
    assert!(told.err.contains("not all of the file is text"), "{}", told.err);
    assert_eq!(bytes(mesh.path()), broken);
    let other = fs::read_to_string(mesh.path().join("b.yaml")).expect("it is there");
    assert_eq!(other, lines_without(&DEAD.replace("shop", "other"), &[11, 12]));
}

#[cfg(unix)]
#[test]
fn permissions_and_links_stay() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let mesh = tree(&[("deep/real.yaml", DEAD)]);
    let real = mesh.path().join("deep/real.yaml");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("they are set");
    symlink("deep/real.yaml", mesh.path().join("a.yaml")).expect("a link");
    let told = malha(mesh.path(), &["check", "--fix", "a.yaml"]);
    assert!(told.err.contains("1 finding fixed in 1 file"), "{}", told.err);
    assert!(mesh.path().join("a.yaml").is_symlink());
    assert_eq!(fs::read_to_string(&real).expect("text"), lines_without(DEAD, &[11, 12]));
    assert_eq!(mode(&real), 0o640);

    fs::write(&real, DEAD).expect("a file");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o444)).expect("they are set");
    let told = malha(mesh.path(), &["check", "--fix", "a.yaml"]);
    assert_eq!(told.status, 2);
    assert!(told.err.contains("the file is read-only"), "{}", told.err);
    assert_eq!(fs::read_to_string(&real).expect("text"), DEAD);
    let left: Vec<_> = fs::read_dir(mesh.path().join("deep")).expect("a directory").collect();
    assert_eq!(left.len(), 1, "nothing is left beside it");
}

#[test]
fn a_fix_in_json_is_quoted() {
    let route = r#"{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "shop"},
  "spec": {"hosts": ["shop.example.com"], "gateways": ["public.infra"], "http": [{"directResponse": {"status": 200}}]}}
"#;
    let mesh = tree(&[("a.json", route)]);
    let told = malha(mesh.path(), &["check", "--fix", "--select", "H008"]);
    assert!(told.err.contains("1 finding fixed in 1 file"), "{}", told.err);
    let fixed = fs::read_to_string(mesh.path().join("a.json")).expect("text");
    assert_eq!(fixed, route.replace("public.infra", "infra/public"));
}

/// Where a user may write, and not own what is written.
#[cfg(unix)]
#[test]
fn a_file_of_another_user_stays_theirs() {
    use std::os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    };
    let mesh = tree(&[("a.yaml", DEAD)]);
    let file = mesh.path().join("a.yaml");
    if fs::metadata(&file).expect("it is there").uid() != 0 {
        eprintln!("only root can be somebody else: NOT checked");
        return;
    }
    for (path, mode) in [(mesh.path(), 0o777), (&file, 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("they are set");
    }
    // Where the binary is may be closed to others.
    let malha = mesh.path().join("malha");
    fs::copy(env!("CARGO_BIN_EXE_malha"), &malha).expect("a copy");
    let told = Command::new(malha)
        .args(["check", "--fix"])
        .current_dir(mesh.path())
        .uid(65_534)
        .gid(65_534)
        .output()
        .expect("malha starts");
    let told = String::from_utf8_lossy(&told.stderr);
    assert!(told.contains("1 finding fixed in 1 file"), "{told}");
    assert_eq!(fs::read_to_string(&file).expect("text"), lines_without(DEAD, &[11, 12]));
    let there = fs::metadata(&file).expect("it is there");
    assert_eq!((there.uid(), there.mode() & 0o777), (0, 0o666));
}

#[test]
fn only_what_the_inputs_name_is_changed() {
    let other = DEAD.replace("shop", "other");
    let mesh = tree(&[("malha.toml", ""), ("a.yaml", DEAD), ("b.yaml", &other)]);
    malha(mesh.path(), &["check", "--fix", "a.yaml"]);
    assert_eq!(bytes(mesh.path()), lines_without(DEAD, &[11, 12]).as_bytes());
    assert_eq!(fs::read_to_string(mesh.path().join("b.yaml")).expect("text"), other);
    // What is silenced or known is not to be mended either.
    write(
        &mesh,
        "a.yaml",
        &DEAD.replace(
            "  - match: [{uri: {prefix: /a/b}}]",
            "  # malha: ignore[R] old\n  - match: [{uri: {prefix: /a/b}}]",
        ),
    );
    let before = bytes(mesh.path());
    malha(mesh.path(), &["check", "--baseline", "known.json", "--write-baseline"]);
    let told = malha(mesh.path(), &["check", "--unsafe-fixes", "--baseline", "known.json"]);
    assert_eq!(told.status, 0, "{}{}", told.out, told.err);
    assert!(told.err.contains("0 findings fixed in 0 files"), "{}", told.err);
    assert_eq!(bytes(mesh.path()), before);
}

#[test]
fn a_comment_that_silences_nothing_is_removed() {
    let good = lines_without(DEAD, &[11, 12, 14, 15]);
    let text = good.replace(
        "  hosts: [shop.example.com]",
        "  # malha: ignore[H008] gone\n  hosts: [shop.example.com] # malha: ignore[D001]",
    );
    let mesh = tree(&[("a.yaml", &text)]);
    let (_, before) = report(mesh.path(), &[]);
    assert_eq!(places(&before), ["O005 a.yaml:6", "O005 a.yaml:7"]);
    let told = malha(mesh.path(), &["check", "--fix"]);
    assert_eq!((told.status, told.err.as_str()), (0, "2 findings fixed in 1 file\n"), "{}", told.out);
    assert_eq!(bytes(mesh.path()), good.as_bytes());
}
