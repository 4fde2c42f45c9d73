//! What does a fleet of containers need on its disks before it starts?
//!
//! One directory that every container sees read-only at [`MOUNT`]: certificates, the plan and a configuration file for each
//! process. Names and ports are those of the compose file in `deploy/compose`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use uitwijk_identity::{Identity, Role, TlsFiles};
use uitwijk_model::{AgentId, Region, Vantage, Zone};

use super::pki::Pki;
use super::{COLLECTORS, agent_name, config, plan};
use crate::world::tls::SiteCertificate;
use crate::world::{REGIONS, Sites, ZONES};

/// Where containers see the directory.
pub const MOUNT: &str = "/fleet";
/// Where containers keep their data.
pub const DATA: &str = "/data";
/// First port of the sites in their container.
pub const FIRST_SITE_PORT: u16 = 9000;
/// Port on which a collector serves gRPC.
pub const GRPC_PORT: u16 = 7443;
/// Port on which every process tells of itself.
pub const ADMIN_PORT: u16 = 9464;

/// Writes everything; the directory must be new or empty.
///
/// # Errors
/// When it is not, or a file cannot be made.
pub fn prepare(dir: &Path, slot: Duration) -> anyhow::Result<()> {
    let used = dir.exists() && fs::read_dir(dir)?.next().is_some();
    anyhow::ensure!(!used, "{} is not empty: choose a new directory, or remove it first", dir.display());
    fs::create_dir_all(dir.join("etc")).with_context(|| format!("make {}", dir.display()))?;
    let pki = Pki::create(&dir.join("pki"))?;
    SiteCertificate::create()?.save(&dir.join("pki"))?;
    let sites = Sites::numbered(Ipv4Addr::UNSPECIFIED, FIRST_SITE_PORT);
    let places: Vec<_> = REGIONS.into_iter().flat_map(|region| ZONES.map(|zone| (region, zone))).collect();
    let ca = Path::new(MOUNT).join("pki/world-ca.pem");
    fs::write(dir.join("plan.yaml"), plan::plan_yaml(&sites, &ca, slot, &places))?;

    for role in [Role::Operator, Role::Viewer] {
        pki.issue(&Identity { name: role.label().to_owned(), role }, &[])?;
    }
    for (name, region) in COLLECTORS {
        let identity = Identity { name: name.to_owned(), role: Role::Collector(Region::new(region)?) };
        let names = [name, "localhost", "127.0.0.1"].map(str::to_owned);
        let files = inside(&pki.issue(&identity, &names)?, dir)?;
        let plan = Path::new(MOUNT).join("plan.yaml");
        let text = config::collector(name, any(GRPC_PORT), any(ADMIN_PORT), Path::new(DATA), &plan, &files);
        fs::write(dir.join("etc").join(format!("{name}.yaml")), text)?;
    }
    for region in REGIONS {
        for zone in ZONES {
            let name = agent_name(region, zone);
            let vantage = Vantage { region: Region::new(region)?, zone: Zone::new(zone)? };
            let files = inside(&pki.issue(&Identity::agent(&AgentId::new(&name)?, vantage), &[])?, dir)?;
            let urls = COLLECTORS.iter().map(|(name, _)| (*name, format!("https://{name}:{GRPC_PORT}")));
            let text = config::agent(any(ADMIN_PORT), Path::new(DATA), None, &files, urls);
            fs::write(dir.join("etc").join(format!("{name}.yaml")), text)?;
        }
    }
    readable_by_containers(dir)
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

/// The same files as a container sees them.
fn inside(files: &TlsFiles, dir: &Path) -> anyhow::Result<TlsFiles> {
    let moved = |path: &PathBuf| Ok::<_, anyhow::Error>(Path::new(MOUNT).join(path.strip_prefix(dir)?));
    Ok(TlsFiles {
        ca_file: moved(&files.ca_file)?,
        cert_file: moved(&files.cert_file)?,
        key_file: moved(&files.key_file)?,
    })
}

/// Containers run as another user than the one who prepares; keys of a trial fleet may be read by all of this machine.
fn readable_by_containers(dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            readable_by_containers(&path)?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        }
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).with_context(|| format!("open {}", dir.display()))
}
