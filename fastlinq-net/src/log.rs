//! Log lines for `log`, `defmt`, both or neither, whichever features are on.

macro_rules! line {
    ($level:ident, $($argument:tt)+) => {{
        #[cfg(feature = "log")]
        ::log::$level!($($argument)+);
        #[cfg(feature = "defmt")]
        ::defmt::$level!($($argument)+);
        #[cfg(not(any(feature = "log", feature = "defmt")))]
        let _ = ::core::format_args!($($argument)+);
    }};
}

macro_rules! debug { ($($argument:tt)+) => { $crate::log::line!(debug, $($argument)+) } }
macro_rules! warning { ($($argument:tt)+) => { $crate::log::line!(warn, $($argument)+) } }

pub(crate) use {debug, line, warning};
