//! How many requests a sender has under way at once. Seam for phase 1.1, `adaptive-pipeline`.
//!
//! `fixed` is the baseline: the plan's eight. `adaptive` grows with the number of files and the round-trip time. Both
//! offer `depth`, at least 1 and at most [`MAX_DEPTH`]: a receiver of any build holds a sender to it.

#[cfg(any(test, feature = "adaptive-pipeline"))]
mod adaptive;
#[cfg(any(test, not(feature = "adaptive-pipeline")))]
mod fixed;

#[cfg(feature = "adaptive-pipeline")]
pub use adaptive::depth;
#[cfg(not(feature = "adaptive-pipeline"))]
pub use fixed::depth;

/// Most requests under way at once, in any build.
pub const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn depth_stays_in_bounds_and_never_shrinks_as_files_or_round_trip_time_grow(
            files in 0..2000usize, more in 0..2000usize, micros in 0..200_000u64, longer in 0..200_000u64,
        ) {
            let (near, far) = (Duration::from_micros(micros), Duration::from_micros(micros + longer));
            for depth in [adaptive::depth, fixed::depth] {
                let here = depth(files, Some(near));
                prop_assert!((8..=MAX_DEPTH).contains(&here));
                prop_assert!(depth(files + more, Some(near)) >= here);
                prop_assert!(depth(files, Some(far)) >= here);
                prop_assert!(depth(files, None) <= here);
            }
            prop_assert!(adaptive::depth(files, Some(near)) >= fixed::depth(files, Some(near)));
        }
    }

    #[test]
    fn many_files_far_away_are_the_deepest_and_few_nearby_the_plans_eight() {
        assert_eq!(adaptive::depth(1000, Some(Duration::from_millis(100))), MAX_DEPTH);
        assert_eq!(adaptive::depth(10, Some(Duration::from_millis(100))), 32);
        assert_eq!(adaptive::depth(10, Some(Duration::from_micros(200))), 8);
        assert_eq!(adaptive::depth(10, None), 8);
    }
}
