//! Points in time.

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, to the millisecond. In the API an RFC 3339 text in UTC, in the database milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(i64);

impl Time {
    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Time {
        Time(millis)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// So many seconds later.
    #[must_use]
    pub const fn after_seconds(self, seconds: i64) -> Time {
        Time(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// So many seconds earlier.
    #[must_use]
    pub const fn before_seconds(self, seconds: i64) -> Time {
        Time(self.0.saturating_sub(seconds.saturating_mul(1000)))
    }

    /// Seconds from `earlier` to this; negative when this is the earlier one.
    pub const fn seconds_since(self, earlier: Time) -> i64 {
        (self.0.saturating_sub(earlier.0)) / 1000
    }

    fn text(self) -> String {
        match Timestamp::from_millisecond(self.0) {
            Ok(time) => format!("{time:.3}"),
            Err(_) => "9999-12-31T23:59:59.999Z".to_owned(),
        }
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let time: Timestamp =
            text.parse().map_err(|_| D::Error::custom("expected a time such as 2026-01-31T12:00:00Z"))?;
        Ok(Time(time.as_millisecond()))
    }
}

impl utoipa::PartialSchema for Time {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl utoipa::ToSchema for Time {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("Time")
    }
}

/// What tells the time. The program's own clock outside tests.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time(Timestamp::now().as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_back_as_it_was_written() {
        let time = Time::from_millis(1_795_000_000_123);
        let text = serde_json::to_string(&time).unwrap();
        assert_eq!(text, "\"2026-11-18T11:06:40.123Z\"");
        assert_eq!(serde_json::from_str::<Time>(&text).unwrap(), time);
        assert_eq!(Time::from_millis(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
