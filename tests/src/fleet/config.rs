//! Which configuration files do the processes of a fleet get?

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use uitwijk_identity::TlsFiles;

/// The file of a collector.
pub fn collector(
    name: &str,
    listen: SocketAddr,
    admin: SocketAddr,
    data_dir: &Path,
    plan_file: &Path,
    files: &TlsFiles,
) -> String {
    format!(
        "name: {name}\nlisten: \"{listen}\"\nadmin_listen: \"{admin}\"\ndata_dir: {}\nplan_file: {}\n{}",
        data_dir.display(),
        plan_file.display(),
        tls(files),
    )
}

/// The file of an agent, with the names and URLs of its collectors.
pub fn agent<'a>(
    admin: SocketAddr,
    data_dir: &Path,
    resolver: Option<SocketAddr>,
    files: &TlsFiles,
    collectors: impl Iterator<Item = (&'a str, String)>,
) -> String {
    let mut text = format!("admin_listen: \"{admin}\"\ndata_dir: {}\n", data_dir.display());
    if let Some(resolver) = resolver {
        let _ = writeln!(text, "resolver: \"{resolver}\"");
    }
    text.push_str("buffer:\n  disk_bytes_max: 64MiB\n  ballast_bytes: 1MiB\n");
    text.push_str(&tls(files));
    text.push_str("collectors:\n");
    for (name, url) in collectors {
        let _ = writeln!(text, "  - {{ name: {name}, url: \"{url}\" }}");
    }
    text
}

fn tls(files: &TlsFiles) -> String {
    let (ca, cert, key) = (files.ca_file.display(), files.cert_file.display(), files.key_file.display());
    format!("tls:\n  ca_file: {ca}\n  cert_file: {cert}\n  key_file: {key}\n")
}
