//! Where the daemon's socket and secrets are: `$XDG_RUNTIME_DIR`, or a private directory below the temporary one where that is
//! not set, or where a socket's path in it would be longer than an address may be.
//!
//! A directory counts only if it is one (no link to one), is ours, and is closed to everybody else: then nobody can have put
//! anything there but ourselves. Anything else is refused, not repaired.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use crate::error::{Error, Result};

/// Longest directory in which every socket still has an address: 104 bytes with a NUL on the systems that are least generous,
/// of which ssh takes 17 for a temporary name and we take `/sy/0123456789abcdef.c`.
const MAX_DIR: usize = 60;

/// What the last part of a name begins with where `ssh` listens for us.
pub const WAY: &str = "s";

/// The directory, and the names in it.
#[derive(Clone, Debug)]
pub struct RuntimeDir {
    dir: PathBuf,
    private: PathBuf,
}

impl RuntimeDir {
    /// The one of this user and this environment. It is made if need be.
    ///
    /// # Errors
    /// A directory that somebody else may have had a hand in.
    pub fn find() -> Result<RuntimeDir> {
        Self::find_in(std::env::var_os("XDG_RUNTIME_DIR"), &std::env::temp_dir())
    }

    fn find_in(runtime: Option<OsString>, temporary: &Path) -> Result<RuntimeDir> {
        // As its specification says: a relative path is to be ignored.
        let runtime = runtime.map(PathBuf::from).filter(|dir| dir.is_absolute());
        let uid = geteuid().as_raw();
        let short = |dir: &Path| dir.as_os_str().len() <= MAX_DIR;
        let dir = match runtime {
            Some(dir) => {
                judge(&dir)?;
                match short(&dir) {
                    true => dir,
                    false => made_below(temporary, &format!("sy-{uid}-{:08x}", hash(&dir) as u32))?,
                }
            }
            None => made_below(temporary, &format!("sy-{uid}"))?,
        };
        if !short(&dir) {
            let text =
                format!("{} is too long for the address of a socket; set XDG_RUNTIME_DIR or TMPDIR", dir.display());
            return Err(Error::Start(text));
        }
        let private = made_below(&dir, "sy")?;
        Ok(RuntimeDir { dir, private })
    }

    /// Where the daemon listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("sy.sock")
    }

    /// Locked for as long as a daemon lives.
    pub fn lock(&self) -> PathBuf {
        self.private.join("lock")
    }

    /// What opens the daemon's port.
    pub fn token(&self) -> PathBuf {
        self.private.join("token")
    }

    /// Removes the sockets that a dead daemon's `ssh` has made for it: nobody knows them any more.
    pub fn sweep(&self) {
        for path in std::fs::read_dir(&self.private).into_iter().flatten().flatten().map(|item| item.path()) {
            if path.extension().is_some_and(|part| part.as_bytes().starts_with(WAY.as_bytes())) {
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// A name for what belongs to `key`; the same for the same key.
    pub fn file_of(&self, key: &[u8], suffix: &str) -> PathBuf {
        self.private.join(format!("{:016x}.{suffix}", xxhash_rust::xxh3::xxh3_64(key)))
    }
}

/// Opens a file of ours, never through a link that stands in its place.
///
/// # Errors
/// What `open` says.
pub fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path)
}

fn hash(path: &Path) -> u64 {
    xxhash_rust::xxh3::xxh3_64(path.as_os_str().as_bytes())
}

fn made_below(parent: &Path, name: &str) -> Result<PathBuf> {
    let dir = parent.join(name);
    match DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io("make", &dir, error)),
        _ => {}
    }
    judge(&dir)?;
    Ok(dir)
}

fn judge(dir: &Path) -> Result<()> {
    let found = dir.symlink_metadata().map_err(|error| Error::io("look at", dir, error))?;
    let fault = if !found.is_dir() {
        "is no directory"
    } else if found.uid() != geteuid().as_raw() {
        "belongs to somebody else"
    } else if found.mode() & 0o077 != 0 {
        "is open to others (its mode must be 0700)"
    } else {
        return Ok(());
    };
    Err(Error::Start(format!("{} {fault}: it is not used for the daemon's socket", dir.display())))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn find(runtime: Option<&Path>, temporary: &Path) -> Result<RuntimeDir> {
        RuntimeDir::find_in(runtime.map(OsString::from), temporary)
    }

    #[test]
    fn without_a_runtime_directory_a_private_one_is_made_and_found_again() {
        let temporary = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let made = find(None, temporary.path()).unwrap();
            let dir = temporary.path().join(format!("sy-{}", geteuid().as_raw()));
            assert_eq!(made.socket(), dir.join("sy.sock"));
            assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_directory_that_others_can_write_to_or_a_link_to_one_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("runtime");
        fs::create_dir(&dir).unwrap();
        for mode in [0o777, 0o1777, 0o770, 0o705] {
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
            assert!(find(Some(&dir), temporary.path()).is_err(), "{mode:o}");
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(find(Some(&dir), temporary.path()).is_ok());
        let link = temporary.path().join("link");
        std::os::unix::fs::symlink(&dir, &link).unwrap();
        assert!(find(Some(&link), temporary.path()).is_err());
        let planted = temporary.path().join(format!("sy-{}", geteuid().as_raw()));
        std::os::unix::fs::symlink(&dir, planted).unwrap();
        assert!(find(None, temporary.path()).is_err(), "a planted link");
    }

    #[test]
    fn a_directory_of_somebody_elses_is_refused() {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can give a directory away");
            return;
        }
        let temporary = tempfile::tempdir().unwrap();
        let planted = temporary.path().join("sy-0");
        fs::create_dir(&planted).unwrap();
        fs::set_permissions(&planted, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&planted, Some(65534), None).unwrap();
        assert!(find(None, temporary.path()).unwrap_err().to_string().contains("somebody else"));
    }

    #[test]
    fn a_path_too_long_for_an_address_gives_way_to_a_short_one_of_its_own() {
        let temporary = tempfile::tempdir().unwrap();
        let long = |letter: &str| {
            let dir = temporary.path().join(letter.repeat(90));
            DirBuilder::new().mode(0o700).create(&dir).unwrap();
            find(Some(&dir), temporary.path()).unwrap().socket()
        };
        let (one, other) = (long("a"), long("b"));
        assert!(one.as_os_str().len() < 100 && one != other);
        assert_eq!(one.parent().and_then(Path::parent), Some(temporary.path()));
    }
}
