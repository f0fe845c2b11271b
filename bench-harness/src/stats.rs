//! The statistics of the lab: medians, spreads, paired ratios with an interval, the engine ratio. Pure.
//!
//! Few samples and skewed ones are the rule here, so everything rests on medians. Every function is tested on numbers
//! that were worked out by hand.

use crate::scenario::rng::Rng;

/// How often the paired ratios are drawn anew for the interval.
pub const BOOTSTRAP_RESAMPLES: usize = 10_000;
/// The share of the bootstrap medians that lies inside the interval.
pub const BOOTSTRAP_LEVEL: f64 = 0.95;
/// The seed of the draws: the same samples always give the same interval.
const BOOTSTRAP_SEED: u64 = 0x5359;
/// rsync's part above the floor must be at least this many spreads of the floor, or an engine ratio is not quoted.
pub const ENGINE_MIN_SPREADS: f64 = 5.0;
/// With fewer samples of the floor its spread is not known and no engine ratio is quoted.
pub const ENGINE_MIN_SAMPLES: usize = 3;
/// Makes a MAD comparable with a standard deviation (for normal samples).
pub const MAD_TO_SIGMA: f64 = 1.4826;

/// A ratio and the interval that it lies in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median of the paired ratios.
    pub median: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// How many pairs it rests on.
    pub pairs: usize,
}

/// The middle of the values; between the two middle ones where their number is even. None of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[half]),
        _ => Some((sorted[half - 1] + sorted[half]) / 2.0),
    }
}

/// The median of the distances from the median.
pub fn mad(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    median(&values.iter().map(|v| (v - middle).abs()).collect::<Vec<_>>())
}

/// The median of the per-round ratios and its bootstrap percentile interval. None without a pair.
pub fn paired_ratio(pairs: &[(f64, f64)]) -> Option<Ratio> {
    let ratios: Vec<f64> = pairs.iter().filter(|(_, reference)| *reference > 0.0).map(|(a, b)| a / b).collect();
    let middle = median(&ratios)?;
    let (low, high) = bootstrap_median(&ratios)?;
    Some(Ratio { median: middle, low, high, pairs: ratios.len() })
}

/// The percentile interval of the median under resampling with replacement.
fn bootstrap_median(values: &[f64]) -> Option<(f64, f64)> {
    let mut rng = Rng::keyed(BOOTSTRAP_SEED, b"bootstrap");
    let mut draw = vec![0.0; values.len()];
    let mut medians = Vec::with_capacity(BOOTSTRAP_RESAMPLES);
    for _ in 0..BOOTSTRAP_RESAMPLES {
        draw.iter_mut().for_each(|slot| *slot = *rng.pick(values));
        medians.push(median(&draw)?);
    }
    medians.sort_by(f64::total_cmp);
    let tail = (1.0 - BOOTSTRAP_LEVEL) / 2.0;
    Some((quantile(&medians, tail), quantile(&medians, 1.0 - tail)))
}

/// The nearest-rank quantile of sorted values that are not empty.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted[rank.min(sorted.len()) - 1]
}

/// (subject - floor) / (reference - floor) of the medians: what is left when connecting is taken off both.
///
/// None where the reference's part above the floor is less than `ENGINE_MIN_SPREADS` of the floor's own spread, or that
/// spread is not known: there it would be noise over noise. Not above 0 where the subject is within the floor's noise.
pub fn engine_ratio(subject: &[f64], reference: &[f64], floor: &[f64]) -> Option<f64> {
    if floor.len() < ENGINE_MIN_SAMPLES {
        return None;
    }
    let base = median(floor)?;
    let spread = mad(floor)? * MAD_TO_SIGMA;
    let (ours, theirs) = (median(subject)? - base, median(reference)? - base);
    (theirs > 0.0 && theirs >= ENGINE_MIN_SPREADS * spread).then(|| ours / theirs)
}

/// The geometric mean of positive values. None of nothing.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|v| v.ln()).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn median_of_odd_even_and_no_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn mad_is_the_median_distance_and_ignores_one_outlier() {
        // Distances from 3: 2 1 0 1 97, sorted 0 1 1 2 97.
        assert_eq!(mad(&[1.0, 2.0, 3.0, 4.0, 100.0]), Some(1.0));
        assert_eq!(mad(&[5.0]), Some(0.0));
    }

    #[test]
    fn ratio_is_taken_per_round_and_not_between_medians() {
        // Rounds 1 and 3 slow both down; the ratios are 0.5, 0.5, 0.6: their median is 0.5.
        let ratio = paired_ratio(&[(5.0, 10.0), (1.0, 2.0), (6.0, 10.0)]).unwrap();
        assert!(close(ratio.median, 0.5) && ratio.pairs == 3);
        assert!(ratio.low >= 0.5 - 1e-12 && ratio.high <= 0.6 + 1e-12);
    }

    #[test]
    fn interval_of_equal_ratios_is_a_point() {
        let ratio = paired_ratio(&[(1.0, 2.0); 5]).unwrap();
        assert_eq!((ratio.low, ratio.median, ratio.high), (0.5, 0.5, 0.5));
    }

    #[test]
    fn interval_of_five_ratios_spans_the_extremes_that_the_bootstrap_reaches() {
        // The median of five draws is the least value when three or more of them are: 5 values, each with 1/5, gives
        // 0.05792 for each extreme, more than 0.025, so both ends of a 95 % interval are the extremes.
        let pairs: Vec<(f64, f64)> = [0.7, 0.8, 0.9, 1.0, 1.1].iter().map(|r| (*r, 1.0)).collect();
        let ratio = paired_ratio(&pairs).unwrap();
        assert!(close(ratio.low, 0.7) && close(ratio.median, 0.9) && close(ratio.high, 1.1), "{ratio:?}");
        assert_eq!(paired_ratio(&pairs), Some(ratio));
    }

    #[test]
    fn interval_of_eleven_ratios_leaves_the_extremes_out() {
        // Six or more of eleven draws must be the least one: at most C(11,6) / 11^6 = 0.00026, far below 0.025.
        let pairs: Vec<(f64, f64)> = (1..=11).map(|r| (f64::from(r), 1.0)).collect();
        let ratio = paired_ratio(&pairs).unwrap();
        assert!(ratio.low > 1.0 && ratio.high < 11.0 && close(ratio.median, 6.0), "{ratio:?}");
    }

    #[test]
    fn no_pair_or_a_reference_of_zero_gives_no_ratio() {
        assert_eq!(paired_ratio(&[]), None);
        assert_eq!(paired_ratio(&[(1.0, 0.0)]), None);
    }

    #[test]
    fn quantile_takes_the_nearest_rank() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!([quantile(&values, 0.0), quantile(&values, 0.25), quantile(&values, 0.5)], [1.0, 1.0, 2.0]);
        assert_eq!([quantile(&values, 0.51), quantile(&values, 1.0)], [3.0, 4.0]);
    }

    #[test]
    fn engine_ratio_subtracts_the_floor_from_both() {
        // Floor 100 with spread 1.4826: (130 - 100) / (160 - 100) = 0.5, and 60 is more than 5 spreads.
        let floor = [99.0, 100.0, 101.0];
        assert!(close(engine_ratio(&[130.0], &[160.0], &floor).unwrap(), 0.5));
    }

    #[test]
    fn engine_ratio_is_not_quoted_over_noise() {
        // The floor's spread is 10 * 1.4826; 5 spreads are 74.13, and rsync has only 70 above the floor.
        let floor = [90.0, 100.0, 110.0];
        assert_eq!(engine_ratio(&[130.0], &[170.0], &floor), None);
        assert!(engine_ratio(&[130.0], &[175.0], &floor).is_some());
        assert_eq!(engine_ratio(&[130.0], &[90.0], &[100.0; 3]), None);
        assert_eq!(engine_ratio(&[130.0], &[175.0], &[100.0; 2]), None);
        assert_eq!(engine_ratio(&[1.0], &[2.0], &[]), None);
    }

    #[test]
    fn geometric_mean_of_a_half_and_a_double_is_one() {
        assert!(close(geometric_mean(&[0.5, 2.0]).unwrap(), 1.0));
        assert_eq!(geometric_mean(&[]), None);
    }
}
