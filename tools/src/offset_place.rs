//! Places in a partition as the command line names them: `start`, `end`, `N`, `+N`, `-N`, `@time`.

use std::str::FromStr;

/// A place in a partition, before anything is known of its offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffsetPlace {
    /// The first record that is there.
    Start,
    /// After the last record.
    End,
    /// An offset.
    Offset(i64),
    /// That many records after the start.
    AfterStart(i64),
    /// That many records before the end.
    BeforeEnd(i64),
    /// The first record of this time or later, in milliseconds since the Unix epoch.
    Time(i64),
    /// That many milliseconds ago.
    Ago(i64),
}

impl OffsetPlace {
    /// The time that is meant, if it is one, given the current time.
    pub(crate) fn timestamp(self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Time(timestamp) => Some(timestamp),
            Self::Ago(ms) => Some(now_ms - ms),
            Self::Start
            | Self::End
            | Self::Offset(_)
            | Self::AfterStart(_)
            | Self::BeforeEnd(_) => None,
        }
    }

    /// The offset that is meant in a log of these bounds; times are looked up elsewhere.
    pub(crate) fn resolve(self, start: i64, end: i64) -> Option<i64> {
        let offset = match self {
            Self::Start => start,
            Self::End => end,
            Self::Offset(offset) => offset,
            Self::AfterStart(count) => start.saturating_add(count),
            Self::BeforeEnd(count) => end.saturating_sub(count),
            Self::Time(_) | Self::Ago(_) => return None,
        };
        Some(offset.clamp(start, end))
    }
}

/// What a place may look like, for messages.
const ALLOWED: &str = "start, end, an offset, +N (after the start), -N (before the end), \
                       @TIME (milliseconds or 2026-01-31T12:00:00Z) or @-1h (ago)";

impl FromStr for OffsetPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = |digits: &str| digits.parse::<i64>().ok().filter(|count| *count >= 0);
        let place = match text {
            "start" | "earliest" | "beginning" => Some(Self::Start),
            "end" | "latest" => Some(Self::End),
            _ => match text.split_at_checked(1) {
                Some(("+", digits)) => count(digits).map(Self::AfterStart),
                Some(("-", digits)) => count(digits).map(Self::BeforeEnd),
                Some(("@", time)) => parse_time(time),
                _ => count(text).map(Self::Offset),
            },
        };
        place.ok_or_else(|| format!("allowed is {ALLOWED}"))
    }
}

fn parse_time(text: &str) -> Option<OffsetPlace> {
    if let Ok(timestamp) = text.parse::<i64>()
        && timestamp >= 0
    {
        return Some(OffsetPlace::Time(timestamp));
    }
    if let Some(ago) = text.strip_prefix('-') {
        return parse_duration(ago).map(OffsetPlace::Ago);
    }
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    Some(OffsetPlace::Time(timestamp.as_millisecond()))
}

/// A number with a unit: `500ms`, `30s`, `5m`, `2h`, `7d`; in milliseconds.
fn parse_duration(text: &str) -> Option<i64> {
    let unit_at = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_understood() {
        let cases = [
            ("start", OffsetPlace::Start),
            ("end", OffsetPlace::End),
            ("17", OffsetPlace::Offset(17)),
            ("+5", OffsetPlace::AfterStart(5)),
            ("-5", OffsetPlace::BeforeEnd(5)),
            ("@1700000000123", OffsetPlace::Time(1_700_000_000_123)),
            ("@2023-11-14T22:13:20Z", OffsetPlace::Time(1_700_000_000_000)),
            ("@-90s", OffsetPlace::Ago(90_000)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "middle", "+", "-x", "@", "@yesterday", "@-5", "--5", "1.5"] {
            assert!(text.parse::<OffsetPlace>().unwrap_err().contains("allowed is"), "{text}");
        }
    }

    #[test]
    fn places_stay_inside_the_log() {
        let cases = [
            (OffsetPlace::Start, 10),
            (OffsetPlace::End, 20),
            (OffsetPlace::Offset(15), 15),
            (OffsetPlace::Offset(3), 10),
            (OffsetPlace::AfterStart(4), 14),
            (OffsetPlace::AfterStart(i64::MAX), 20),
            (OffsetPlace::BeforeEnd(4), 16),
            (OffsetPlace::BeforeEnd(400), 10),
        ];
        for (place, expected) in cases {
            assert_eq!(place.resolve(10, 20), Some(expected), "{place:?}");
        }
        assert_eq!(OffsetPlace::Ago(5).resolve(10, 20), None);
        assert_eq!(OffsetPlace::Ago(5).timestamp(100), Some(95));
    }
}
