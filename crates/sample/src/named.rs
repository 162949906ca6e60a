//! What stands in a list under a name with options: `NAME[:key=value,...]`, read and written. The solvers of this crate, and the lists of
//! others: implement [`Listed`] and call [`named!`](crate::named!).

use crate::nearest;
use crate::solver::Key;
use std::fmt;

/// A member of a list, by name with its options.
pub trait Listed: Clone + Sized {
    /// What the members are called in messages.
    const WHAT: &'static str;

    /// Every member with its usual options.
    fn all() -> Vec<Self>;

    /// The name.
    fn name(&self) -> &'static str;

    /// Its options, each with the field it sets.
    fn keys(&mut self) -> Vec<Key<'_>>;
}

/// Its options: name, present value, what it may be, what it does.
pub fn options<L: Listed>(of: &L) -> Vec<[String; 4]> {
    let mut copy = of.clone();
    let keys = copy.keys();
    keys.iter().map(|k| [k.name.to_string(), k.show(), k.expected(), k.about.to_string()]).collect()
}

/// `NAME[:key=value,...]` with the options that differ from the usual.
pub fn show<L: Listed>(of: &L, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let usual = L::all().into_iter().find(|k| k.name() == of.name()).map(|k| options(&k)).unwrap_or_default();
    write!(f, "{}", of.name())?;
    let differing = options(of).into_iter().zip(usual).filter(|(mine, usual)| mine[1] != usual[1]);
    for (i, ([name, value, ..], _)) in differing.enumerate() {
        write!(f, "{}{name}={value}", if i == 0 { ':' } else { ',' })?;
    }
    Ok(())
}

/// The member that a text names, its options set.
pub fn parse<L: Listed>(text: &str) -> Result<L, NamedError> {
    let (name, options) = text.split_once(':').unwrap_or((text, ""));
    let (name, all) = (name.trim(), L::all());
    let names: Vec<&'static str> = all.iter().map(L::name).collect();
    let Some(mut kind) = all.into_iter().find(|k| k.name() == name) else {
        // Papers write DPM-Solver++, the names here spell it.
        let nearest = nearest(&name.replace('+', "p"), names.iter().copied()).unwrap_or_default();
        return Err(NamedError::Unknown { what: L::WHAT, found: name.to_string(), nearest, known: names.join(", ") });
    };
    set_options((L::WHAT, kind.name()), options, kind.keys())?;
    Ok(kind)
}

/// Reading and writing of a list's members, and their options for listings.
#[macro_export]
macro_rules! named {
    ($kind:ident) => {
        impl $kind {
            /// Its options: name, present value, what it may be, what it does.
            pub fn options(&self) -> Vec<[String; 4]> {
                $crate::named::options(self)
            }
        }

        impl ::std::fmt::Display for $kind {
            /// `NAME[:key=value,...]` with the options that differ from the usual.
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::named::show(self, f)
            }
        }

        impl ::std::str::FromStr for $kind {
            type Err = $crate::NamedError;

            fn from_str(text: &str) -> Result<Self, $crate::NamedError> {
                $crate::named::parse(text)
            }
        }

        impl From<$kind> for String {
            fn from(kind: $kind) -> Self {
                kind.to_string()
            }
        }

        impl TryFrom<String> for $kind {
            type Error = $crate::NamedError;

            fn try_from(text: String) -> Result<Self, $crate::NamedError> {
                text.parse()
            }
        }
    };
}
/// Why a text names no member of a list.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NamedError {
    /// There is nothing of that name.
    #[error("there is no {what} {found:?}; did you mean {nearest:?}? The known ones are {known}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// The name given.
        found: String,
        /// The known name nearest to it.
        nearest: &'static str,
        /// All names.
        known: String,
    },
    /// It has no such option.
    #[error("{what} {name} has no key {found:?}{}", did_you_mean(.nearest, .known))]
    UnknownKey {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: &'static str,
        /// The key given.
        found: String,
        /// The nearest of its keys, if it has any.
        nearest: Option<&'static str>,
        /// Its keys.
        known: String,
    },
    /// An option cannot have that value.
    #[error("{what} {name}: {key} is {found:?}, expected {expected}")]
    BadValue {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: &'static str,
        /// The option.
        key: &'static str,
        /// The value given.
        found: String,
        /// What would do.
        expected: String,
    },
    /// A piece of the options is not `key=value`.
    #[error("{what} {name}: {found:?} is no option; write {name}:key=value,key=value{}", did_you_mean(&None, .known))]
    NotAPair {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: &'static str,
        /// The piece.
        found: String,
        /// Its keys.
        known: String,
    },
}

fn did_you_mean(nearest: &Option<&'static str>, known: &str) -> String {
    match (nearest, known) {
        (_, "") => "; it has none".to_string(),
        (Some(nearest), _) => format!("; did you mean {nearest:?}? Its keys are {known}"),
        (None, _) => format!("; its keys are {known}"),
    }
}

/// Sets the options of a text, `key=value,key=value`, on the keys of a member.
fn set_options((what, name): (&'static str, &'static str), options: &str, mut keys: Vec<Key<'_>>) -> Result<(), NamedError> {
    let names: Vec<&'static str> = keys.iter().map(|k| k.name).collect();
    let known = names.join(", ");
    for piece in options.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let Some((key, value)) = piece.split_once('=').map(|(k, v)| (k.trim(), v.trim())) else {
            return Err(NamedError::NotAPair { what, name, found: piece.to_string(), known });
        };
        let Some(key) = keys.iter_mut().find(|k| k.name == key) else {
            let nearest = nearest(key, names.iter().copied());
            return Err(NamedError::UnknownKey { what, name, found: key.to_string(), nearest, known });
        };
        if !key.set(value) {
            let (found, expected) = (value.to_string(), key.expected());
            return Err(NamedError::BadValue { what, name, key: key.name, found, expected });
        }
    }
    Ok(())
}
