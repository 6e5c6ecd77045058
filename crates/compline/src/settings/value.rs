//! The kinds of values that a pipeline file has, each checked as it is read. An error says what is allowed; the document adds
//! the key and the value.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;
use toml::Value;

/// What a text of the file is read into.
pub(super) trait FromText: Sized {
    /// What is allowed, in words.
    fn allowed() -> String;

    /// The value, if the text is allowed.
    fn from_text(text: &str) -> Option<Self>;
}

/// A text.
#[derive(Debug, Clone, Default)]
pub(super) struct Text<T>(pub(super) T);

// Not `try_from`: of an element of a list that would lose the place.
impl<'de, T: FromText> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor(PhantomData)).map(Self)
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromText> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "text in quotes: {}", T::allowed())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).ok_or_else(|| E::custom(format!("allowed is {}", T::allowed())))
    }
}

/// Reads a text or a list of texts.
pub(super) fn one_or_many<'de, T: FromText, C: FromIterator<T>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<C, D::Error> {
    deserializer.deserialize_any(OneOrMany(PhantomData::<T>)).map(C::from_iter)
}

struct OneOrMany<T>(PhantomData<T>);

impl<'de, T: FromText> Visitor<'de> for OneOrMany<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "text in quotes, or a list of such: {}", T::allowed())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        TextVisitor(PhantomData).visit_str(text).map(|value| vec![value])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(Text(value)) = list.next_element()? {
            values.push(value);
        }
        // It could mean "none" as well as "all".
        if values.is_empty() {
            return Err(A::Error::custom("allowed is a value or a list of values; leave the key out if there is none"));
        }
        Ok(values)
    }
}

/// A whole number: the least, the largest, and what it is if the key is left out.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Whole<const MIN: u32, const MAX: u32, const DEFAULT: u32>(pub(super) u32);

impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> Whole<MIN, MAX, DEFAULT> {
    /// As a count of seconds.
    pub(super) fn seconds(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> Default for Whole<MIN, MAX, DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> TryFrom<Value> for Whole<MIN, MAX, DEFAULT> {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let hint = if value.is_float() { ", without a decimal point" } else { "" };
        let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (MIN..=MAX).contains(number));
        number.map(Self).ok_or_else(|| format!("allowed is {MIN} to {MAX}{hint}"))
    }
}

/// A share, 0 to 1, written in percent: what it is, in percent, if the key is left out.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Percent<const DEFAULT: u8>(pub(super) f64);

impl<const DEFAULT: u8> Default for Percent<DEFAULT> {
    fn default() -> Self {
        Self(f64::from(DEFAULT) / 100.0)
    }
}

impl<const DEFAULT: u8> TryFrom<Value> for Percent<DEFAULT> {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let percent = decimal(&value).filter(|percent| (0.0..=100.0).contains(percent));
        percent.map(|percent| Self(percent / 100.0)).ok_or("allowed is 0 to 100")
    }
}

/// Calls a second.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Rate(pub(super) f64);

impl TryFrom<Value> for Rate {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        // With less than a call in ten seconds a run does not end; a thousand a second is no limit to anybody.
        let rate = decimal(&value).filter(|rate| (0.1..=1000.0).contains(rate));
        rate.map(Self).ok_or("allowed is 0.1 to 1000; leave the key out to let compline find the limit")
    }
}

/// A number with a decimal point or without.
fn decimal(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| i32::try_from(value.as_integer()?).ok().map(f64::from))
}

/// A table. A struct alone would take a list of values, in the order of its fields, for one too.
#[derive(Debug, Default)]
pub(super) struct Section<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Section<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SectionVisitor(PhantomData)).map(Self)
    }
}

struct SectionVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SectionVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(table))
    }
}
