//! The talk page and the dashboard. Their files are built into the program.

use antiphon_desk::Access;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::routes::Routes;

/// The content security policy. A page may load from and connect to its own server only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; \
    connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! file {
    ($path:literal, $kind:literal, $file:literal) => {
        File { path: $path, kind: $kind, text: include_str!(concat!("../../../../web", $file)) }
    };
}

macro_rules! script {
    ($path:literal) => {
        file!($path, "text/javascript; charset=utf-8", $path)
    };
}

macro_rules! style {
    ($path:literal) => {
        file!($path, "text/css; charset=utf-8", $path)
    };
}

/// The files and their paths.
const FILES: &[File] = &[
    file!("/", "text/html; charset=utf-8", "/index.html"),
    file!("/dashboard", "text/html; charset=utf-8", "/dashboard.html"),
    file!("/favicon.svg", "image/svg+xml", "/favicon.svg"),
    style!("/talk.css"),
    script!("/talk.js"),
    script!("/capture.js"),
    style!("/dashboard.css"),
    script!("/dashboard.js"),
    script!("/dashboard/advice.js"),
    script!("/dashboard/api.js"),
    script!("/dashboard/calls.js"),
    script!("/dashboard/chart.js"),
    script!("/dashboard/components.js"),
    script!("/dashboard/data.js"),
    script!("/dashboard/dom.js"),
    script!("/dashboard/format.js"),
    script!("/dashboard/history.js"),
    script!("/dashboard/overview.js"),
    script!("/dashboard/scale.js"),
    script!("/dashboard/turns.js"),
];

struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

pub(super) fn routes(routes: Routes) -> Routes {
    FILES.iter().fold(routes, |routes, file| {
        routes.plain(Access::Public, &[Method::GET], file.path, get(async move || answer(file)))
    })
}

fn answer(file: &'static File) -> Response {
    let headers = [
        (header::CONTENT_TYPE, file.kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, file.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_named_by_another_and_none_by_another_server() {
        let all = FILES.iter().map(|file| file.text).collect::<String>();
        for File { path, text, .. } in &FILES[2..] {
            assert!(all.contains(&format!("\"{path}\"")), "{path} is named by nobody");
            let ours = text.replace("http://www.w3.org/2000/svg", "");
            let named = |after: &str| after.starts_with(|c: char| c.is_ascii_alphanumeric());
            assert!(!ours.split("://").skip(1).any(named), "{path} names another server");
        }
    }
}
