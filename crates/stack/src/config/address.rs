//! What the addresses of servers must be.

use antiphon_core::settings::Check;

/// Requires an HTTP or HTTPS address.
pub(super) const HTTP_URL: Check = Check::Text {
    what: "an address that begins with https:// or http://",
    holds: |url| url.parse::<reqwest::Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https")),
};
