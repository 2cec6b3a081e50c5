//! Settings that a configuration file can hold.
//!
//! [`settings!`](crate::settings!) declares a table of keys. One declaration a key gives the field, its default, its
//! check, its help text and its description as data ([`KeyInfo`]). Example files, reference pages, suggestions for
//! misspelt keys and the names of environment variables are made from that description.

mod check;
mod declare;
mod describe;
mod value;

pub use check::{Check, Scalar};
pub use describe::{Alias, KeyInfo, KeyOptions, SectionInfo};
pub use value::{Setting, WrongValue, check_key};

/// Declares a table of keys: its struct, its default and its description.
///
/// Each key has a doc comment, a type and a default, then options of [`KeyOptions`](crate::settings::KeyOptions), by
/// the names of its methods. `include` adds the keys of another table to this one.
///
/// ```
/// use antiphon_core::settings::{Check, Setting};
///
/// antiphon_core::settings! {
///     /// A lamp.
///     pub struct Lamp {
///         /// How bright it is, in percent.
///         brightness: u32 = 50, check(Check::Between(0.0, 100.0));
///         /// What it is called.
///         name: Option<String> = None, example("\"kitchen\"");
///     }
/// }
///
/// let lamp: Lamp = serde_json::from_str(r#"{ "brightness": 101 }"#)?;
/// assert_eq!(lamp.check("lamp").unwrap_err().to_string(), "[lamp] brightness = 101 must be between 0 and 100");
/// let described = Lamp::section("lamp").unwrap();
/// assert_eq!(described.keys[0].help, "How bright it is, in percent.");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[macro_export]
macro_rules! settings {
    ($(#[doc = $doc:literal])+ $vis:vis struct $name:ident {
        $($(#[doc = $key_doc:literal])+ $key:ident: $type:ty = $default:expr
            $(, $option:ident($($argument:expr),*))*;)*
        $(include $part:ident: $table:ty;)*
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, ::serde::Deserialize, ::serde::Serialize)]
        #[serde(default)]
        $vis struct $name {
            $($(#[doc = $key_doc])+ pub $key: $type,)*
            $(#[doc = "Keys that other tables have as well."] #[serde(flatten)] pub $part: $table,)*
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* $($part: ::core::default::Default::default(),)* }
            }
        }

        impl $crate::settings::Setting for $name {
            const TYPE: &'static str = "table";
            const LIST: &'static str = "list of tables";

            fn section(path: &str) -> ::core::option::Option<$crate::settings::SectionInfo> {
                let default = Self::default();
                let mut section = $crate::settings::SectionInfo::new(path, concat!($($doc, "\n"),+));
                $(section.add(
                    stringify!($key),
                    concat!($($key_doc, "\n"),+),
                    &default.$key,
                    &$crate::settings::KeyOptions::default()$(.$option($($argument),*))*,
                );)*
                $(section.include(<$table as $crate::settings::Setting>::section(path));)*
                ::core::option::Option::Some(section)
            }

            fn check(&self, path: &str) -> ::core::result::Result<(), $crate::settings::WrongValue> {
                $($crate::settings::check_key(
                    path,
                    stringify!($key),
                    &self.$key,
                    &$crate::settings::KeyOptions::default()$(.$option($($argument),*))*,
                )?;)*
                $($crate::settings::Setting::check(&self.$part, path)?;)*
                ::core::result::Result::Ok(())
            }
        }
    };
}

/// Declares the values that a key may have: an enum, and what each is called in a file.
///
/// ```
/// antiphon_core::choices! {
///     /// When a lamp is on.
///     pub enum Mode {
///         /// As long as somebody is there.
///         Auto = "auto",
///         /// Never.
///         Off = "off",
///     }
/// }
///
/// assert_eq!(Mode::Auto.name(), "auto");
/// assert_eq!(serde_json::from_str::<Mode>("\"off\"")?, Mode::Off);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[macro_export]
macro_rules! choices {
    ($(#[doc = $doc:literal])+ $vis:vis enum $name:ident {
        $($(#[doc = $choice_doc:literal])+ $choice:ident = $text:literal,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ::serde::Deserialize, ::serde::Serialize)]
        $vis enum $name {
            $($(#[doc = $choice_doc])+ #[serde(rename = $text)] $choice,)+
        }

        impl $name {
            /// As it is written in a file.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$choice => $text,)+ }
            }
        }

        impl $crate::settings::Setting for $name {
            const TYPE: &'static str = "text";
            const LIST: &'static str = "list of texts";
            const CHOICES: &'static [&'static str] = &[$($text),+];
        }
    };
}
