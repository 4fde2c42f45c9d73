//! Are the bindings in `src/gen` those of the schema in `uitwijk/v1`?
//!
//! Run as `cargo bindings` after a change of the schema: the test writes what is new and fails once, so
//! that a stale binding can never pass. No protoc is needed; protox compiles the schema.

use std::path::Path;
use std::{env, fs};

use prost::Message as _;

const FILES: [&str; 9] =
    ["measurement", "ingest", "fleet", "measurements", "verdicts", "labels", "policies", "switches", "backups"];

#[test]
fn bindings_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = FILES.map(|name| format!("uitwijk/v1/{name}.proto"));
    let descriptors = protox::compile(&files, [root]).expect("the schema compiles");
    let out = tempdir();
    tonic_prost_build::configure()
        .out_dir(&out)
        .bytes(".uitwijk.v1.Batch.columns")
        .build_client(true)
        .build_server(true)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors.clone())
        .expect("bindings can be made");
    let made = fs::read_to_string(out.join("uitwijk.v1.rs")).expect("bindings were written");
    let mut stale = replace_if_changed(&root.join("src/gen/uitwijk.v1.rs"), made.as_bytes());
    stale |= replace_if_changed(&root.join("src/gen/descriptors.bin"), &descriptors.encode_to_vec());
    fs::remove_dir_all(&out).expect("the scratch directory can go");
    assert!(!stale, "bindings were stale and have been written anew; review and commit proto/src/gen");
}

fn replace_if_changed(path: &Path, content: &[u8]) -> bool {
    let changed = fs::read(path).ok().as_deref() != Some(content);
    if changed {
        fs::write(path, content).expect("bindings can be written");
    }
    changed
}

fn tempdir() -> std::path::PathBuf {
    let dir = env::temp_dir().join(format!("uitwijk-bindings-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a scratch directory can be made");
    dir
}
