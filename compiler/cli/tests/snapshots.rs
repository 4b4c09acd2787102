//! What each scenario of examples/simul-shop is found to say and is lowered to: golden files in snapshots/.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn scenarios_say_and_mean_what_they_did() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout exists");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root.join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut scenarios: Vec<PathBuf> = fs::read_dir(root.join("examples/simul-shop"))
        .expect("the examples are there")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("malha.toml").exists())
        .collect();
    scenarios.sort();
    assert!(scenarios.len() > 20, "scenarios are missing: {scenarios:?}");
    for scenario in scenarios {
        let name = scenario.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let directory = format!("examples/simul-shop/{name}");
        let mut text = String::new();
        for arguments in [
            ["check", "--format", "concise", &directory].as_slice(),
            &["show", "listeners", "--format", "markdown", &directory],
            &["show", "routes", "--format", "markdown", &directory],
            &["show", "clusters", "--format", "markdown", &directory],
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_malha"))
                .args(arguments)
                .current_dir(&root)
                .output()
                .expect("malha runs");
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            writeln!(text, "$ malha {}\n{out}{err}", arguments.join(" ")).expect("a string takes everything");
        }
        settings.bind(|| insta::assert_snapshot!(format!("simul-shop-{name}"), text));
    }
}
