//! How is a database made so that a kill, or a power cut, leaves a whole one or none?
//!
//! A database consists of several files, and one of which the first few are there opens no more. So a new one is made under another
//! name, closed, and given its own name in one step. What an interrupted first start left under the other name is taken away.
//!
//! The sync of a file says nothing of its name: that is in the folder, which is synced for itself. fjall does so for most of its
//! folders and not for the one that has the folders of the keyspaces, so all of them are synced here after each opening.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Opens what is in a directory; when that is missing or empty, makes it first.
pub(crate) fn open_whole<T, E: From<io::Error>>(
    dir: &Path,
    mut open: impl FnMut(&Path) -> Result<T, E>,
) -> Result<T, E> {
    if is_new(dir) {
        let new = dir.with_extension("new");
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        make_folder(&new)?;
        drop(open(&new)?);
        sync_tree(&new)?;
        fs::rename(&new, dir)?;
        dir.parent().map_or(Ok(()), sync_names)?;
    }
    let opened = open(dir)?;
    sync_tree(dir)?;
    Ok(opened)
}

/// Makes a folder whose name survives a power cut, with the folders that it is in.
pub(crate) fn make_folder(dir: &Path) -> io::Result<()> {
    let made = dir.ancestors().take_while(|path| !path.exists()).count();
    fs::create_dir_all(dir)?;
    dir.ancestors().skip(1).take(made.max(1)).try_for_each(sync_names)
}

/// Makes the names in a folder survive a power cut. A folder that may not be read is somebody else's, and so are its names.
pub(super) fn sync_names(folder: &Path) -> io::Result<()> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match File::open(here) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    }
}

/// The same for all folders in a folder.
fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync_names(folder)
}

/// What cannot be looked into is not new; opening it tells why.
fn is_new(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes two files, and is killed after the first if asked; opens only what has both.
    fn open(dir: &Path, killed: bool) -> io::Result<()> {
        let [first, second] = ["first", "second"].map(|name| dir.join(name));
        if first.exists() {
            return if second.exists() { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) };
        }
        fs::write(first, "1")?;
        if killed { Err(io::ErrorKind::Interrupted.into()) } else { fs::write(second, "2") }
    }

    #[test]
    fn what_an_interrupted_start_leaves_stops_no_later_one() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("log");
        for _ in 0..2 {
            let killed = open_whole(&dir, |dir| open(dir, true)).unwrap_err();
            assert_eq!((killed.kind(), dir.exists()), (io::ErrorKind::Interrupted, false));
        }
        for _ in 0..2 {
            open_whole(&dir, |dir| open(dir, false)).unwrap();
        }
        assert!(!home.path().join("log.new").exists());
    }

    #[test]
    fn an_empty_directory_is_new_and_one_with_something_is_not() {
        let home = tempfile::tempdir().unwrap();
        open_whole(home.path(), |dir| open(dir, false)).unwrap();
        fs::remove_file(home.path().join("second")).unwrap();
        let error = open_whole(home.path(), |dir| open(dir, false)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "it is not ours to take away");
    }
}
