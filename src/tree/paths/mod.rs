//! The two paths of an entry: as read (root and all) and below the root. Seam for phase 2.2, `path-dedup`.
//!
//! `two` is the baseline: an allocation for each path. `one` keeps the joined path and derives the other from it. Both
//! offer `new`, `path`, `relative`, `Clone`; the path below the root is relative or `.`, as the scanner and the decoder
//! see to.

#[cfg(any(test, feature = "path-dedup"))]
mod one;
#[cfg(any(test, not(feature = "path-dedup")))]
mod two;

#[cfg(feature = "path-dedup")]
pub use one::Paths;
#[cfg(not(feature = "path-dedup"))]
pub use two::Paths;

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
        fn one_allocation_tells_the_same_paths_as_two(root in root(), relative in relative()) {
            let (root, relative) = (Path::new(OsStr::from_bytes(&root)), Path::new(OsStr::from_bytes(&relative)));
            let (one, two) = (one::Paths::new(root, relative), two::Paths::new(root, relative));
            // Bytes, since paths are compared by component.
            prop_assert_eq!(one.path().as_os_str(), two.path().as_os_str());
            prop_assert_eq!(one.relative().as_os_str(), two.relative().as_os_str());
            prop_assert_eq!(one.relative().as_os_str(), relative.as_os_str());
            let copy = one.clone();
            prop_assert_eq!((copy.path(), copy.relative()), (one.path(), one.relative()));
        }
    }
}
