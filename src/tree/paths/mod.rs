//! The two paths of an entry: as read (root and all) and below the root. Seam for the phases 2.2, `path-dedup`, and 6.2,
//! `shared-root`.
//!
//! `two` is the baseline: an allocation for each path. `one` keeps the joined path and derives the other from it. `shared`
//! turns that round: it keeps the path below the root, and the root once for the whole list; it prevails where both are
//! on. All offer `new`, `path`, `relative`, `Clone`; the path below the root is relative or `.`, as the scanner and the
//! decoder see to.

#[cfg(any(test, all(feature = "path-dedup", not(feature = "shared-root"))))]
mod one;
#[cfg(any(test, feature = "shared-root"))]
mod shared;
#[cfg(any(test, not(any(feature = "path-dedup", feature = "shared-root"))))]
mod two;

#[cfg(all(feature = "path-dedup", not(feature = "shared-root")))]
pub use one::Paths;
#[cfg(feature = "shared-root")]
pub use shared::Paths;
#[cfg(not(any(feature = "path-dedup", feature = "shared-root")))]
pub use two::Paths;

/// What all of them mean by the joined path.
#[cfg(any(test, feature = "shared-root", not(feature = "path-dedup")))]
fn joined(root: &std::path::Path, relative: &std::path::Path) -> std::path::PathBuf {
    if relative.as_os_str() == "." { root.to_path_buf() } else { root.join(relative) }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A path component of any bytes but those that none can have.
    fn component() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>().prop_filter("no component has it", |byte| !matches!(byte, 0 | b'/')), 1..12)
            .prop_filter("of the tree", |name| !matches!(&name[..], b"." | b".."))
    }

    fn relative() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![1 => Just(b".".to_vec()), 9 => vec(component(), 1..5).prop_map(|names| names.join(&b'/'))]
    }

    fn root() -> impl Strategy<Value = Vec<u8>> {
        let fixed = ["", "/", ".", "..", "./", "../a", "a/", "//"].map(|root| root.as_bytes().to_vec());
        prop_oneof![
            proptest::sample::select(fixed.to_vec()),
            (any::<bool>(), relative()).prop_map(|(absolute, path)| [&b"/"[..usize::from(absolute)], &path].concat()),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_kept_the_paths_are_the_same(root in root(), relative in relative()) {
            let (root, relative) = (Path::new(OsStr::from_bytes(&root)), Path::new(OsStr::from_bytes(&relative)));
            let two = two::Paths::new(root, relative);
            let one = one::Paths::new(root, relative).clone();
            let shared = shared::Paths::new(root, relative).clone();
            // Bytes, since paths are compared by component.
            prop_assert_eq!(two.relative().as_os_str(), relative.as_os_str());
            prop_assert_eq!(one.relative().as_os_str(), relative.as_os_str());
            prop_assert_eq!(shared.relative().as_os_str(), relative.as_os_str());
            let [one, two, shared] = [one.path(), two.path(), shared.path()].map(|path| path.as_os_str().to_owned());
            prop_assert_eq!(one, two.clone());
            prop_assert_eq!(shared, two);
        }
    }

    #[test]
    fn entries_of_two_trees_keep_their_roots_apart() {
        let (first, second) = (Path::new("/a"), Path::new("/a/"));
        let made = [first, second, first].map(|root| shared::Paths::new(root, Path::new("f")));
        assert_eq!(made.map(|paths| paths.path().into_owned()), ["/a/f", "/a/f", "/a/f"].map(Path::new));
        let roots = [first, second].map(|root| shared::Paths::new(root, Path::new(".")).path().into_owned());
        assert_eq!(roots.map(|root| root.into_os_string()), ["/a", "/a/"]);
    }
}
