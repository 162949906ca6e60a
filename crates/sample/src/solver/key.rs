//! The options of a solver by name, typed and ranged: what stands behind `NAME:key=value`.

use std::ops::RangeInclusive;

/// A closed choice of an option, by name. Enums of this crate get it from the macro `choice!`.
pub trait Choice {
    /// All names, in the order of the variants.
    fn names(&self) -> &'static [&'static str];
    /// The place of the present variant.
    fn place(&self) -> usize;
    /// Becomes the variant at a place below `names().len()`.
    fn become_place(&mut self, place: usize);
}

/// An enum without fields whose variants have names on the command line; the first is the default.
#[macro_export]
macro_rules! choice {
    ($(#[$doc:meta])* $type:ident { $first:ident = $first_name:literal: $first_doc:literal
        $(, $variant:ident = $name:literal: $variant_doc:literal)* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $type {
            #[doc = $first_doc]
            #[default]
            $first,
            $(#[doc = $variant_doc] $variant,)*
        }

        impl $crate::solver::Choice for $type {
            fn names(&self) -> &'static [&'static str] {
                &[$first_name $(, $name)*]
            }
            fn place(&self) -> usize {
                *self as usize
            }
            fn become_place(&mut self, place: usize) {
                *self = [Self::$first $(, Self::$variant)*][place];
            }
        }
    };
}
#[allow(unreachable_pub, reason = "a macro is public by its export")]
pub use choice;

/// Where an option is kept and what it may be.
enum Slot<'a> {
    Number(&'a mut f64, RangeInclusive<f64>),
    Count(&'a mut usize, RangeInclusive<usize>),
    Switch(&'a mut bool),
    Choice(&'a mut dyn Choice),
}

/// One option of a solver: its name and the field it sets.
pub struct Key<'a> {
    /// The name.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    slot: Slot<'a>,
}

impl<'a> Key<'a> {
    /// A number within a range.
    pub fn number(name: &'static str, about: &'static str, value: &'a mut f64, range: RangeInclusive<f64>) -> Self {
        Self { name, about, slot: Slot::Number(value, range) }
    }

    /// A whole number within a range.
    pub fn count(name: &'static str, about: &'static str, value: &'a mut usize, range: RangeInclusive<usize>) -> Self {
        Self { name, about, slot: Slot::Count(value, range) }
    }

    /// Yes or no.
    pub fn switch(name: &'static str, about: &'static str, value: &'a mut bool) -> Self {
        Self { name, about, slot: Slot::Switch(value) }
    }

    /// One of a few names.
    pub fn choice(name: &'static str, about: &'static str, value: &'a mut dyn Choice) -> Self {
        Self { name, about, slot: Slot::Choice(value) }
    }

    /// The present value as it would be written.
    pub fn show(&self) -> String {
        match &self.slot {
            Slot::Number(v, _) => v.to_string(),
            Slot::Count(v, _) => v.to_string(),
            Slot::Switch(v) => v.to_string(),
            Slot::Choice(v) => v.names()[v.place()].to_string(),
        }
    }

    /// What values it takes, in words.
    pub fn expected(&self) -> String {
        match &self.slot {
            Slot::Number(_, r) if r.end().is_infinite() => format!("a number from {}", r.start()),
            Slot::Number(_, r) => format!("a number from {} to {}", r.start(), r.end()),
            Slot::Count(_, r) if *r.end() == usize::MAX => format!("a whole number from {}", r.start()),
            Slot::Count(_, r) => format!("a whole number from {} to {}", r.start(), r.end()),
            Slot::Switch(_) => "true or false".to_string(),
            Slot::Choice(v) => format!("one of {}", v.names().join(", ")),
        }
    }

    /// Reads a value; false, and nothing changed, when it is not among the expected.
    #[must_use]
    pub fn set(&mut self, text: &str) -> bool {
        fn within<T: std::str::FromStr + PartialOrd>(text: &str, slot: &mut T, range: &RangeInclusive<T>) -> bool {
            text.parse().ok().filter(|v| range.contains(v)).map(|v| *slot = v).is_some()
        }
        match &mut self.slot {
            Slot::Number(v, r) => within(text, *v, r),
            Slot::Count(v, r) => within(text, *v, r),
            Slot::Switch(v) => text.parse().map(|b| **v = b).is_ok(),
            Slot::Choice(v) => v.names().iter().position(|n| *n == text).map(|i| v.become_place(i)).is_some(),
        }
    }
}
