//! Chunks: what goes in comes out, and nothing that a peer sends is taken for what it is not.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;

fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>().prop_filter("a component", |byte| *byte != b'/' && *byte != 0), 1..40)
        .prop_filter("a component", |name| name != b"." && name != b"..")
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        any::<u64>().prop_map(|size| Kind::File { size }),
        name().prop_map(|target| Kind::Symlink { target: Path::new(OsStr::from_bytes(&target)).into() }),
        Just(Kind::Fifo),
        any::<u64>().prop_map(|rdev| Kind::BlockDevice { rdev }),
    ]
}

prop_compose! {
    fn attributes()(
        kind in kind(), mode in 0u32..0o10000, secs in any::<i64>(), nanos in prop_oneof![Just(0), 0u32..1_000_000_000],
        uid in 0u32..3, gid in any::<u32>(), link_group in any::<Option<u32>>(), digest in any::<Option<[u8; 16]>>(),
        atime in any::<Option<(i64, u16)>>(),
    ) -> Entry {
        let mtime = Timestamp { secs, nanos };
        let atime = atime.map(|(secs, nanos)| Timestamp { secs, nanos: nanos.into() });
        let seldom = Seldom { link_group, digest, atime, ..Seldom::default() }.boxed();
        Entry { kind, mode, mtime, uid, gid, seldom, ..Entry::sample("x", Kind::Dir) }
    }
}

fn placed(entry: Entry, dir: &Path, name: &[u8]) -> Entry {
    let path = if dir == Path::new(".") { PathBuf::new() } else { dir.to_path_buf() };
    Entry { paths: Paths::new(Path::new("/r"), &path.join(OsStr::from_bytes(name))), ..entry }
}

proptest! {
    #[test]
    fn a_directory_comes_out_as_it_went_in(
        at_root in any::<bool>(), own in attributes(), entries in btree_map(name(), attributes(), 0..20),
        dirs in btree_set(name(), 0..9), users in vec((any::<u32>(), vec(any::<u8>(), 0..9)), 0..3), flags in any::<[bool; 3]>(),
    ) {
        let dir = Path::new(if at_root { "." } else { "some/dir" });
        let [last, incomplete, contents_listed] = flags;
        let own = Entry { kind: Kind::Dir, contents_listed, paths: Paths::new(Path::new("/r"), dir), ..own };
        let entries = entries.into_iter().map(|(name, entry)| placed(entry, dir, &name)).collect();
        let dirs = dirs.into_iter().map(OsString::from_vec).collect();
        let contents = Contents { own: Some(own), entries, dirs, users, groups: Vec::new() };
        let state = State { first: true, last, lost: false, incomplete };
        let chunk = Chunk::new(7, 3, state, &contents, Vec::new());
        prop_assert_eq!(chunk.state(), state);
        prop_assert!(chunk.fields.len() <= contents.room());
        let opened = chunk.open(Path::new("/r"), dir).expect("our own");
        prop_assert_eq!(format!("{opened:?}"), format!("{contents:?}"));
    }

    #[test]
    fn any_bytes_are_refused_or_opened_but_never_a_panic(flags in 0u8..32, dir in 0u32..2, bytes in vec(any::<u8>(), 0..200)) {
        let mut head = vec![0, 0, 0, 0];
        head.put_u32(dir);
        head.put_u8(flags);
        if let Ok(head) = Chunk::head(&mut Reader::new(&head)) {
            let _ = Chunk::of(head, bytes.clone().into()).open(Path::new("/r"), Path::new("d"));
        }
        let _ = ChunkAck::read(&mut Reader::new(&bytes));
    }

    #[test]
    fn numbers_survive(number in any::<u64>(), signed in any::<i64>()) {
        let mut bytes = Vec::new();
        put_number(&mut bytes, number);
        put_number(&mut bytes, zigzag(signed));
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(self::number(&mut reader).expect("a number"), number);
        prop_assert_eq!(unzigzag(self::number(&mut reader).expect("a number")), signed);
        reader.finish().expect("that was all");
    }
}

/// A chunk that lists `entries` and announces `dirs`, however wrong.
fn open(dir: u32, entries: &[&[u8]], dirs: &[&[u8]]) -> Result<Contents> {
    let entry = |name: &&[u8]| {
        let mut entry = Entry::sample("x", Kind::Fifo);
        entry.paths = Paths::new(Path::new("/r"), Path::new(OsStr::from_bytes(name)));
        entry
    };
    let mut bytes = vec![0, 0];
    let mut before = Before::default();
    put_number(&mut bytes, entries.len() as u64);
    entries.iter().for_each(|name| before.put(&mut bytes, &entry(name), name));
    put_number(&mut bytes, dirs.len() as u64);
    before.name.clear();
    dirs.iter().for_each(|name| before.put_name(&mut bytes, name));
    Chunk::of((0, dir, LAST), bytes.into()).open(Path::new("/r"), Path::new("d"))
}

#[test]
fn a_name_may_be_longer_than_255_bytes_and_share_more_than_that() {
    // As some file systems have them, which count characters.
    let names: Vec<Vec<u8>> = (b'a'..b'f').map(|end| [&[b'x'; 764][..], &[end]].concat()).collect();
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let contents = open(1, &names, &names).expect("our own");
    let entries = contents.entries.iter().filter_map(|entry| entry.relative().file_name()).map(OsStr::as_bytes);
    assert!(entries.eq(names.iter().copied()));
    assert!(contents.dirs.iter().map(|name| name.as_bytes()).eq(names));
}

#[test]
fn a_name_that_is_no_component_or_out_of_order_is_refused() {
    assert!(open(1, &[b"a", b"b"], &[b"c", b"d"]).is_ok());
    for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0"] {
        assert!(open(1, &[bad], &[]).is_err(), "{bad:?}");
        assert!(open(1, &[], &[bad]).is_err(), "{bad:?}");
    }
    assert!(open(0, &[], &[b"."]).is_ok(), "above the roots only");
    assert!(open(0, &[], &[b"-", b"."]).is_err() && open(0, &[], &[b".", b"a"]).is_err(), "and alone");
    for pair in [[&b"b"[..], b"a"], [b"a", b"a"]] {
        assert!(open(1, &pair, &[]).is_err() && open(1, &[], &pair).is_err(), "{pair:?}");
    }
}
