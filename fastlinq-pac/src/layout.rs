//! What the generated structures and codes are built with.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Asserts size and offsets at compile time.
macro_rules! map {
    ($name:ident, $size:literal, { $($member:ident: $offset:literal),* $(,)? }) => {
        const _: () = {
            assert!(core::mem::size_of::<$name>() == $size);
            $(assert!(core::mem::offset_of!($name, $member) == $offset);)*
        };
        impl $name {
            /// Bytes of the structure.
            pub const SIZE: u32 = $size;
        }
    };
}
pub(crate) use map;

/// Asserts size and offsets at compile time, and gives the structure a `Default` of all zeros.
macro_rules! layout {
    ($name:ident, $size:literal, { $($member:ident: $offset:literal),* $(,)? }) => {
        crate::layout::map!($name, $size, { $($member: $offset),* });
        impl crate::versions::HostStructure for $name {
            const NAME: &'static str = stringify!($name);
        }
        impl Default for $name {
            fn default() -> Self {
                zerocopy::FromZeros::new_zeroed()
            }
        }
    };
}
pub(crate) use layout;

/// Defines a code of the wire as a newtype over its integer: a value that nobody documented stays representable.
macro_rules! codes {
    ($(#[$meta:meta])* pub struct $name:ident($type:ty) { $($(#[$doc:meta])* $value:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $type);

        impl $name {
            $($(#[$doc])* pub const $value: Self = Self($number);)*

            /// Every documented value with its name; where several names share a value, in order of their names.
            pub const NAMES: &'static [($type, &'static str)] = &[$(($number, stringify!($value)),)*];

            /// The number on the wire.
            pub const fn value(self) -> $type {
                self.0
            }

            /// The first documented name of the value.
            pub fn name(self) -> Option<&'static str> {
                crate::layout::name_of(Self::NAMES, self.0)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                crate::layout::debug_code(f, stringify!($name), self.name(), self.0.into())
            }
        }

        impl From<$type> for $name {
            fn from(value: $type) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $type {
            fn from(code: $name) -> $type {
                code.0
            }
        }
    };
}
pub(crate) use codes;

pub(crate) fn name_of<T: PartialEq>(names: &[(T, &'static str)], value: T) -> Option<&'static str> {
    names
        .iter()
        .find(|(number, _)| *number == value)
        .map(|(_, name)| *name)
}

pub(crate) fn debug_code(
    f: &mut core::fmt::Formatter<'_>,
    code: &str,
    name: Option<&str>,
    value: u32,
) -> core::fmt::Result {
    match name {
        Some(name) => write!(f, "{code}::{name}"),
        None => write!(f, "{code}({value:#x})"),
    }
}

/// The first bytes of a union as one of its members.
pub(crate) fn view<T: FromBytes, const N: usize>(bytes: &[u8; N]) -> T {
    const { assert!(size_of::<T>() <= N) };
    match T::read_from_prefix(bytes) {
        Ok((value, _)) => value,
        Err(_) => T::new_zeroed(),
    }
}

/// A union that holds `value`, the rest zero.
pub(crate) fn put<T: IntoBytes + Immutable, const N: usize>(value: &T) -> [u8; N] {
    const { assert!(size_of::<T>() <= N) };
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(value.as_bytes()) {
        *to = *from;
    }
    bytes
}
