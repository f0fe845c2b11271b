//! Points in time as people write and read them, in the zone that this machine is set to: `--stop-at`, and the times of logs.

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp, Zoned};

/// Years that are looked through for a day that a month may not have: there is a 29 February among them.
const YEARS: i16 = 9;

/// What was said of a point in time; what was not can be anything.
#[derive(Debug, Default, PartialEq)]
struct Said {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    hour: Option<i8>,
    minute: Option<i8>,
}

/// How long it is until the next time that `text` describes: `[[[YEAR-]MONTH-]DAY][THOUR:MINUTE]`, `HOUR:MINUTE` or
/// `:MINUTE`, with slashes or dashes.
///
/// # Errors
/// What is no time, or has passed, as a sentence for a person.
pub fn until(text: &str) -> Result<std::time::Duration, String> {
    let now = Zoned::now();
    let said =
        parse(text).ok_or_else(|| format!("not a time: {text} (such as 2027-01-31T14:30, 1-31, 14:30 or :30)"))?;
    let stop = next(&said, now.datetime()).ok_or_else(|| format!("there is no such time to come: {text}"))?;
    let stop = stop.to_zoned(now.time_zone().clone()).map_err(|error| format!("not a time: {text}: {error}"))?;
    Ok(now.duration_until(&stop).max(SignedDuration::ZERO).unsigned_abs())
}

fn parse(text: &str) -> Option<Said> {
    let text = text.replace('/', "-").replace('t', "T");
    let (days, time) = match text.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None if text.contains(':') => ("", Some(&text[..])),
        None => (&text[..], None),
    };
    let mut said = Said::default();
    let mut parts = days.rsplit('-').filter(|_| !days.is_empty());
    said.day = parts.next().map(|part| number(part, 1, 31).ok_or(())).transpose().ok()?;
    said.month = parts.next().map(|part| number(part, 1, 12).ok_or(())).transpose().ok()?;
    said.year = parts.next().map(|part| year(part).ok_or(())).transpose().ok()?;
    if let Some(time) = time {
        let (hour, minute) = time.split_once(':')?;
        said.minute = Some(number(minute, 0, 59)?);
        let any = hour.is_empty() && days.is_empty() && !text.starts_with('T');
        said.hour = if any { None } else { Some(number(hour, 0, 23)?) };
    }
    (parts.next().is_none() && said != Said::default()).then_some(said)
}

fn number(text: &str, least: i8, most: i8) -> Option<i8> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (least..=most).contains(number))
}

fn year(text: &str) -> Option<i16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number: i16 = text.parse().ok().filter(|_| digits)?;
    match text.len() {
        2 => Some(2000 + number),
        4 => Some(number),
        _ => None,
    }
}

/// The first point in time after `now` of which all is true that was said.
fn next(said: &Said, now: DateTime) -> Option<DateTime> {
    let (Some(hour), minute) = (said.hour.or(said.day.map(|_| 0)), said.minute.unwrap_or(0)) else {
        let this_hour = now.date().at(now.hour(), said.minute?, 0, 0);
        return [this_hour, this_hour.checked_add(SignedDuration::from_hours(1)).ok()?]
            .into_iter()
            .find(|at| *at > now);
    };
    days(said, now.date()).map(|day| day.at(hour, minute, 0, 0)).find(|at| *at > now)
}

/// The days from `today` on that were meant, or some of them.
fn days(said: &Said, today: Date) -> Box<dyn Iterator<Item = Date>> {
    let Some(day) = said.day else { return Box::new([Some(today), today.tomorrow().ok()].into_iter().flatten()) };
    let years = said.year.map_or(today.year()..=today.year().saturating_add(YEARS), |year| year..=year);
    let months = said.month.map_or(1..=12, |month| month..=month);
    Box::new(years.flat_map(move |year| {
        let months = months.clone();
        months.filter_map(move |month| Date::new(year, month, day).ok()).filter(move |date| *date >= today)
    }))
}

/// Now, as a log tells it: `2026/11/23 14:30:00`.
pub fn now() -> String {
    Zoned::now().strftime("%Y/%m/%d %H:%M:%S").to_string()
}

/// A time of a file, in seconds: `2026/11/23-14:30:00`.
pub fn of_file(secs: i64) -> String {
    shown(secs, "%Y/%m/%d-%H:%M:%S")
}

/// The same as a list has it: `2026/11/23 14:30:00`.
pub fn listed(secs: i64) -> String {
    shown(secs, "%Y/%m/%d %H:%M:%S")
}

fn shown(secs: i64, format: &str) -> String {
    // What no calendar has is shown as its beginning.
    let time = Timestamp::from_second(secs).unwrap_or_default();
    time.to_zoned(jiff::tz::TimeZone::system()).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn stop(text: &str) -> Option<String> {
        // A Monday, half a minute past.
        let now = date(2026, 11, 23).at(14, 30, 30, 0);
        next(&parse(text)?, now).map(|at| at.strftime("%Y-%m-%d %H:%M").to_string())
    }

    #[test]
    fn a_time_is_the_next_that_fits_what_is_said_of_it() {
        let cases = [
            ("2026-12-31T23:59", "2026-12-31 23:59"),
            ("2027/1/2t3:04", "2027-01-02 03:04"),
            ("27-1-31", "2027-01-31 00:00"),
            ("1-30", "2027-01-30 00:00"),
            ("11-24T14:00", "2026-11-24 14:00"),
            ("11-23T14:31", "2026-11-23 14:31"),
            ("11-23T14:30", "2027-11-23 14:30"),
            ("2-29", "2028-02-29 00:00"),
            ("1", "2026-12-01 00:00"),
            ("31", "2026-12-31 00:00"),
            ("23", "2026-12-23 00:00"),
            ("23T15:00", "2026-11-23 15:00"),
            ("14:00", "2026-11-24 14:00"),
            ("T15:00", "2026-11-23 15:00"),
            ("14:31", "2026-11-23 14:31"),
            (":59", "2026-11-23 14:59"),
            (":30", "2026-11-23 15:30"),
        ];
        for (text, expected) in cases {
            assert_eq!(stop(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_or_has_passed_is_refused() {
        for text in ["", "T", "soon", "2026-11-23T14:30", "2020-1-1", "13-1", "2027-2-30", "24:00", "1:60", "T:30"] {
            assert_eq!(stop(text), None, "{text}");
        }
        for text in ["1T:30", "1T5", "1-2-3-4", "127-1-1", "+1", "-1", "1:2:3", "1-", ":", "007"] {
            assert_eq!(stop(text), None, "{text}");
        }
        assert!(until("soon").unwrap_err().contains("soon"));
        assert!(until(":59").unwrap() <= std::time::Duration::from_secs(3600));
    }

    #[test]
    fn a_file_of_any_age_has_a_time() {
        assert_eq!(of_file(i64::MAX), of_file(0));
        assert!(of_file(1_800_000_000).starts_with("2027/01/1"));
    }
}
