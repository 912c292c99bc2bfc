//! Log lines for `log`, `defmt`, both or neither, whichever features are on.
#![allow(unused_macros, unused_imports)]

macro_rules! line {
    ($level:ident, $($argument:tt)+) => {{
        #[cfg(feature = "log")]
        ::log::$level!($($argument)+);
        #[cfg(feature = "defmt")]
        ::defmt::$level!($($argument)+);
        #[cfg(not(any(feature = "log", feature = "defmt")))]
        let _ = || {
            let _ = ::core::format_args!($($argument)+);
        };
    }};
}

macro_rules! debug { ($($argument:tt)+) => { $crate::log::line!(debug, $($argument)+) } }
macro_rules! info { ($($argument:tt)+) => { $crate::log::line!(info, $($argument)+) } }
macro_rules! warning { ($($argument:tt)+) => { $crate::log::line!(warn, $($argument)+) } }

pub(crate) use {debug, info, line, warning};

/// A value for a log line that has only the text form of [`Display`](core::fmt::Display).
pub(crate) struct Shown<'a, T: ?Sized>(pub(crate) &'a T);

impl<T: core::fmt::Display + ?Sized> core::fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "defmt")]
impl<T: core::fmt::Display + ?Sized> defmt::Format for Shown<'_, T> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Display2Format(self.0));
    }
}
