//! What the generator looks for before it looks anywhere. Seam for phase 6.1, `neighbour-first`.
//!
//! Where a block was found, its neighbour most likely follows. [`Anywhere`] is the baseline: it makes nothing of that, and
//! each position's weak checksum is computed and looked up. [`Neighbour`] compares the strong hashes of the two blocks that
//! are likely before anything rolls. Both are there in every build, as the windows are; [`Selected`] is the one that is used.
//!
//! Either way the new file comes out, and at the same bound of work. The operations are the same too, unless contents
//! repeat so that an edited block is spanned by another of the basis at an odd offset: only rolling through it finds that.

mod anywhere;
mod neighbour;

pub use anywhere::Anywhere;
pub use neighbour::Neighbour;

/// The expectation of this build.
#[cfg(not(feature = "neighbour-first"))]
pub type Selected = Anywhere;
/// The expectation of this build.
#[cfg(feature = "neighbour-first")]
pub type Selected = Neighbour;

/// What of a generator's position can be asked here.
pub trait Position {
    /// Whether the new file has `block`'s bytes, by its strong hash, so many blocks `ahead` of the position, and the block
    /// may be copied. Costs a hash of the block.
    fn holds(&mut self, block: u32, ahead: usize) -> bool;

    /// Whether `block` is the basis' last and shorter than the others: no look-up finds it.
    fn is_short(&self, block: u32) -> bool;
}

/// Which blocks are tried without a look-up. Each call may ask a bounded number of times, as it is made once for a match.
pub trait Expect {
    /// The block at the position, where `next` follows the last one that matched.
    fn here(position: &mut impl Position, next: u32) -> Option<u32>;

    /// The block that lies a whole block ahead, where `next` should be at the position, but no block is there.
    fn ahead(position: &mut impl Position, next: u32) -> Option<u32>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A position that holds nothing, in a basis whose last block is the short block 7; remembers what was asked.
    #[derive(Default)]
    struct Nowhere(Vec<(u32, usize)>);

    impl Position for Nowhere {
        fn holds(&mut self, block: u32, ahead: usize) -> bool {
            self.0.push((block, ahead));
            false
        }

        fn is_short(&self, block: u32) -> bool {
            block == 7
        }
    }

    fn asked<E: Expect>(next: u32) -> Vec<(u32, usize)> {
        let mut position = Nowhere::default();
        assert_eq!((E::here(&mut position, next), E::ahead(&mut position, next)), (None, None));
        position.0
    }

    #[test]
    fn neighbour_expects_the_next_block_here_and_the_one_behind_it_a_block_ahead() {
        assert_eq!(asked::<Neighbour>(3), [(3, 0), (4, 1)]);
        assert_eq!(asked::<Neighbour>(u32::MAX), [(u32::MAX, 0), (u32::MAX, 1)], "no such blocks, and no overflow");
    }

    #[test]
    fn anywhere_expects_the_short_block_at_its_place_and_no_other() {
        assert_eq!(asked::<Anywhere>(3), []);
        assert_eq!(asked::<Anywhere>(6), [(7, 1)]);
        assert_eq!(asked::<Anywhere>(7), [(7, 0)]);
    }
}
