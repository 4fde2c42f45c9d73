//! What may lie on a disk after the power went?
//!
//! ```text
//!   file     synced bytes | writes since then, in order      a cut keeps none, all, some first ones, or any sectors of them
//!   folder   synced names | names made, moved, gone since    a cut keeps some first ones
//! ```
//!
//! This is what POSIX promises, and no more: the sync of a file does not keep its name, a sync of one folder says nothing
//! of another, what was not synced reaches the disk in any order, 512 bytes at a time. File systems are kinder than that, each in
//! its own way, and a product that lives on all of them must not lean on it. Where it does, in one folder of fjall, a story says so: there
//! the sync of a new file keeps its name, as ext4, XFS and btrfs do.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context as _, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::trace::Call;

const SECTOR: usize = 512;

/// What becomes of everything that was not synced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It is lost.
    Lost,
    /// It reached the disk all the same, as it does when only the process dies.
    Kept,
    /// Some of it did, by the luck of a seed.
    Chance(u64),
}

/// A fate that is being dealt out.
enum Luck {
    Lost,
    Kept,
    Chance(Box<StdRng>),
}

/// A disk, and what is on its way to it.
#[derive(Debug)]
pub(crate) struct Disk {
    nodes: Vec<Node>,
    /// By the number that the system gave; it gives those of files that are gone again.
    places: HashMap<u64, usize>,
    /// For each sync that runs, how many calls had taken effect when it began.
    syncs: HashMap<u64, usize>,
    calls: usize,
    /// The sync of a new file in a folder of this name keeps its name, too.
    kind: &'static str,
    /// Counts the changes of what is synced.
    changes: u64,
}

#[derive(Debug)]
enum Node {
    File(File),
    Folder(Folder),
}

#[derive(Debug, Default)]
struct File {
    synced: Content,
    pending: Vec<(usize, Change)>,
}

#[derive(Debug, Default)]
struct Folder {
    synced: BTreeMap<String, usize>,
    now: BTreeMap<String, usize>,
    pending: Vec<(usize, Naming)>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Rc<[u8]>),
    Length(u64),
    LengthAtLeast(u64),
}

#[derive(Debug, Clone)]
enum Naming {
    Put(String, usize),
    Take(String),
    Move(String, String),
}

/// Bytes by sector; a sector that is not there is zeros.
#[derive(Debug, Clone, Default)]
struct Content {
    length: u64,
    sectors: BTreeMap<u64, Rc<[u8; SECTOR]>>,
}

impl Disk {
    /// A folder as it is, all of it synced.
    pub(crate) fn of(root: &Path, kind: &'static str) -> anyhow::Result<Self> {
        let (places, syncs) = (HashMap::new(), HashMap::new());
        let mut disk = Self { nodes: Vec::new(), places, syncs, calls: 0, kind, changes: 1 };
        disk.load(root)?;
        Ok(disk)
    }

    fn load(&mut self, path: &Path) -> anyhow::Result<usize> {
        let about = fs::metadata(path).with_context(|| path.display().to_string())?;
        let place = self.add(about.ino(), Node::Folder(Folder::default()));
        if about.is_file() {
            let mut file = File::default();
            file.synced.put(0, &fs::read(path)?);
            file.synced.set_length(about.len());
            self.nodes[place] = Node::File(file);
            return Ok(place);
        }
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            names.insert(entry.file_name().to_string_lossy().into_owned(), self.load(&entry.path())?);
        }
        self.nodes[place] = Node::Folder(Folder { synced: names.clone(), now: names, pending: Vec::new() });
        Ok(place)
    }

    fn add(&mut self, number: u64, node: Node) -> usize {
        self.nodes.push(node);
        self.places.insert(number, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// Goes up whenever a sync made something safe.
    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Lets a call take effect. Calls on what lies elsewhere have none.
    pub(crate) fn apply(&mut self, call: &Call) -> anyhow::Result<()> {
        self.calls += 1;
        match call {
            Call::File { folder, node, name } if self.places.contains_key(folder) => {
                let place = self.add(*node, Node::File(File::default()));
                self.name(*folder, Naming::Put(name.clone(), place))?;
            }
            Call::Folder { folder, node, name } if self.places.contains_key(folder) => {
                let place = self.add(*node, Node::Folder(Folder::default()));
                self.name(*folder, Naming::Put(name.clone(), place))?;
            }
            Call::Write { node, at, bytes } => self.change(*node, Change::Write(*at, bytes.clone())),
            Call::Length { node, bytes } => self.change(*node, Change::Length(*bytes)),
            Call::LengthAtLeast { node, bytes } => self.change(*node, Change::LengthAtLeast(*bytes)),
            Call::Rename { from, to, old, new } if self.places.contains_key(from) => {
                ensure!(from == to, "{old} was moved to another folder as {new}, which this disk does not know");
                self.name(*from, Naming::Move(old.clone(), new.clone()))?;
            }
            Call::Link { folder, node, name } if self.places.contains_key(folder) => {
                let place = *self.places.get(node).context("a link to what is not there")?;
                self.name(*folder, Naming::Put(name.clone(), place))?;
            }
            Call::Remove { folder, name } if self.places.contains_key(folder) => {
                self.name(*folder, Naming::Take(name.clone()))?;
            }
            Call::SyncBegins { sync } => drop(self.syncs.insert(*sync, self.calls)),
            Call::SyncEnds { node, sync } => {
                let began = self.syncs.remove(sync).context("a sync ended that never began")?;
                if let Some(&place) = self.places.get(node) {
                    self.changes += u64::from(self.nodes[place].sync(began));
                    self.be_kind(place);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps the names in kind folders up to that of a file which was synced.
    fn be_kind(&mut self, file: usize) {
        let named = |node: &Node| match node {
            Node::Folder(folder) => folder.now.get(self.kind).copied(),
            Node::File(_) => None,
        };
        for place in self.nodes.iter().filter_map(named).collect::<Vec<_>>() {
            let Node::Folder(folder) = &mut self.nodes[place] else { continue };
            let is_its = |(_, naming): &(usize, Naming)| matches!(naming, Naming::Put(_, of) if *of == file);
            if let Some(at) = folder.pending.iter().position(is_its) {
                folder.pending.drain(..=at).for_each(|(_, naming)| naming.apply(&mut folder.synced));
                self.changes += 1;
            }
        }
    }

    fn name(&mut self, folder: u64, naming: Naming) -> anyhow::Result<()> {
        match self.places.get(&folder).map(|place| &mut self.nodes[*place]) {
            Some(Node::Folder(folder)) => {
                naming.apply(&mut folder.now);
                folder.pending.push((self.calls, naming));
                Ok(())
            }
            _ => bail!("{naming:?} in what is no folder"),
        }
    }

    fn change(&mut self, node: u64, change: Change) {
        if let Some(Node::File(file)) = self.places.get(&node).map(|place| &mut self.nodes[*place]) {
            file.pending.push((self.calls, change));
        }
    }

    /// Writes down what a cut at this moment may leave.
    pub(crate) fn write_out(&self, fate: Fate, to: &Path) -> anyhow::Result<()> {
        let mut luck = match fate {
            Fate::Lost => Luck::Lost,
            Fate::Kept => Luck::Kept,
            Fate::Chance(seed) => Luck::Chance(Box::new(StdRng::seed_from_u64(seed))),
        };
        self.write_node(0, &mut luck, to)
    }

    fn write_node(&self, place: usize, luck: &mut Luck, to: &Path) -> anyhow::Result<()> {
        match &self.nodes[place] {
            Node::File(file) => file.after(luck).write_to(to).with_context(|| to.display().to_string()),
            Node::Folder(folder) => {
                fs::create_dir_all(to)?;
                let names = folder.after(luck);
                names.iter().try_for_each(|(name, place)| self.write_node(*place, luck, &to.join(name)))
            }
        }
    }
}

impl Node {
    /// What was done before a sync began is safe; says whether that is anything.
    fn sync(&mut self, began: usize) -> bool {
        match self {
            Self::File(file) => {
                let count = file.pending.partition_point(|(at, _)| *at < began);
                file.pending.drain(..count).for_each(|(_, change)| change.apply(&mut file.synced));
                count > 0
            }
            Self::Folder(folder) => {
                let count = folder.pending.partition_point(|(at, _)| *at < began);
                folder.pending.drain(..count).for_each(|(_, naming)| naming.apply(&mut folder.synced));
                count > 0
            }
        }
    }
}

impl Folder {
    fn after(&self, luck: &mut Luck) -> BTreeMap<String, usize> {
        let kept = match luck {
            Luck::Lost => 0,
            Luck::Kept => self.pending.len(),
            Luck::Chance(luck) => luck.random_range(0..=self.pending.len()),
        };
        let mut names = self.synced.clone();
        self.pending[..kept].iter().for_each(|(_, naming)| naming.apply(&mut names));
        names
    }
}

impl File {
    fn after(&self, luck: &mut Luck) -> Content {
        let mut content = self.synced.clone();
        let all = self.pending.len();
        match luck {
            Luck::Lost => {}
            Luck::Kept => self.keep(all, &mut content),
            Luck::Chance(luck) => match luck.random_range(0..4) {
                0 => {}
                1 => self.keep(all, &mut content),
                2 => {
                    // The first ones, and of the one after them the first sectors.
                    let kept = luck.random_range(0..=all);
                    self.keep(kept, &mut content);
                    if let Some((_, Change::Write(at, bytes))) = self.pending.get(kept) {
                        let sectors = luck.random_range(0..=bytes.len() / SECTOR);
                        Change::Write(*at, bytes[..sectors * SECTOR].into()).apply(&mut content);
                    }
                }
                _ => self.scatter(luck, &mut content),
            },
        }
        content
    }

    fn keep(&self, count: usize, content: &mut Content) {
        self.pending[..count].iter().for_each(|(_, change)| change.clone().apply(content));
    }

    /// Any sectors; the length is one that the file had on the way.
    fn scatter(&self, luck: &mut StdRng, content: &mut Content) {
        let lengths = luck.random_range(0..=self.pending.len());
        let share = [0.1, 0.5, 0.9][luck.random_range(0..3)];
        for (i, (_, change)) in self.pending.iter().enumerate() {
            let before = content.length;
            match change {
                Change::Write(at, bytes) => {
                    let mut from = 0;
                    while from < bytes.len() {
                        let start = at + from as u64;
                        let room = SECTOR - usize::try_from(start % SECTOR as u64).unwrap_or(0);
                        let piece = room.min(bytes.len() - from);
                        if luck.random_bool(share) {
                            content.put(start, &bytes[from..from + piece]);
                        }
                        from += piece;
                    }
                    content.length = before.max(at + bytes.len() as u64);
                }
                _ if i < lengths => change.clone().apply(content),
                _ => {}
            }
            if i >= lengths {
                content.length = before;
            }
        }
        content.set_length(content.length);
    }
}

impl Change {
    fn apply(self, content: &mut Content) {
        match self {
            Self::Write(at, bytes) => content.put(at, &bytes),
            Self::Length(length) => content.set_length(length),
            Self::LengthAtLeast(length) => content.length = content.length.max(length),
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Put(name, place) => drop(names.insert(name.clone(), *place)),
            Self::Take(name) => drop(names.remove(name)),
            Self::Move(old, new) => {
                if let Some(place) = names.remove(old) {
                    names.insert(new.clone(), place);
                }
            }
        }
    }
}

impl Content {
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let mut from = 0;
        while from < bytes.len() {
            let start = at + from as u64;
            let (sector, offset) = (start / SECTOR as u64, usize::try_from(start % SECTOR as u64).unwrap_or(0));
            let piece = (SECTOR - offset).min(bytes.len() - from);
            let kept = self.sectors.entry(sector).or_insert_with(|| Rc::new([0; SECTOR]));
            Rc::make_mut(kept)[offset..offset + piece].copy_from_slice(&bytes[from..from + piece]);
            from += piece;
        }
        self.length = self.length.max(at + bytes.len() as u64);
    }

    fn set_length(&mut self, length: u64) {
        self.length = length;
        drop(self.sectors.split_off(&length.div_ceil(SECTOR as u64)));
        if let Some(last) = self.sectors.get_mut(&(length / SECTOR as u64)) {
            Rc::make_mut(last)[usize::try_from(length % SECTOR as u64).unwrap_or(0)..].fill(0);
        }
    }

    fn write_to(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = std::io::BufWriter::with_capacity(1 << 16, fs::File::create(path)?);
        let mut at = 0;
        for (&sector, bytes) in &self.sectors {
            if at != sector {
                file.seek(SeekFrom::Start(sector * SECTOR as u64))?;
            }
            file.write_all(&bytes[..])?;
            at = sector + 1;
        }
        Ok(file.into_inner()?.set_len(self.length)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a file of two sectors that was synced and one that was not, and names that nobody synced.
    fn disk() -> (tempfile::TempDir, Disk) {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("old"), vec![b'o'; 1024]).unwrap();
        let mut disk = Disk::of(home.path(), "").unwrap();
        let number = |path: &Path| fs::metadata(path).unwrap().ino();
        let (root, old, new) = (number(home.path()), number(&home.path().join("old")), u64::MAX);
        let write = |node, at, byte| Call::Write { node, at, bytes: vec![byte; 1024].into() };
        let calls = [
            write(old, 512, b'1'),
            Call::SyncBegins { sync: 1 },
            write(old, 1536, b'2'),
            Call::SyncEnds { node: old, sync: 1 },
            Call::File { folder: root, node: new, name: "new".to_owned() },
            write(new, 0, b'n'),
            Call::SyncBegins { sync: 2 },
            Call::SyncEnds { node: new, sync: 2 },
            Call::Rename { from: root, to: root, old: "new".to_owned(), new: "newer".to_owned() },
        ];
        calls.iter().for_each(|call| disk.apply(call).unwrap());
        (home, disk)
    }

    fn left(disk: &Disk, fate: Fate) -> BTreeMap<String, String> {
        let to = tempfile::tempdir().unwrap();
        disk.write_out(fate, to.path()).unwrap();
        let told = |bytes: Vec<u8>| bytes.chunks(SECTOR).map(|sector| char::from(sector[0])).collect();
        let read = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        let files = fs::read_dir(to.path()).unwrap().map(|entry| read(entry.unwrap()));
        files.map(|(name, bytes)| (name, told(bytes))).collect()
    }

    fn tree(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(name, bytes)| ((*name).to_owned(), (*bytes).to_owned())).collect()
    }

    #[test]
    fn what_was_written_during_a_sync_and_what_has_no_synced_name_is_lost() {
        let (_home, disk) = disk();
        assert_eq!(left(&disk, Fate::Lost), tree(&[("old", "o11")]));
        assert_eq!(left(&disk, Fate::Kept), tree(&[("newer", "nn"), ("old", "o1122")]));
    }

    #[test]
    fn chance_keeps_any_sectors_and_the_first_names() {
        let (_home, disk) = disk();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let found = left(&disk, Fate::Chance(seed));
            assert!(found["old"].starts_with("o1"), "{found:?}");
            assert!(found.get("new").or(found.get("newer")).is_none_or(|bytes| bytes == "nn"), "{found:?}");
            seen.insert(found);
        }
        for expected in [
            tree(&[("old", "o11")]),
            tree(&[("old", "o11"), ("new", "nn")]),
            tree(&[("old", "o1122"), ("newer", "nn")]),
            tree(&[("old", "o112")]),
            tree(&[("old", "o11\u{0}2")]),
        ] {
            assert!(seen.contains(&expected), "{expected:?} never happened: {seen:?}");
        }
    }
}
