//! The page's files, built into the program.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;

/// The page may load and connect to nothing but its own server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; \
    connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files and where they are.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("../../../../../web/index.html")),
    ("/web/talk.css", "text/css; charset=utf-8", include_str!("../../../../../web/talk.css")),
    ("/web/talk.js", "text/javascript; charset=utf-8", include_str!("../../../../../web/talk.js")),
    ("/web/capture.js", "text/javascript; charset=utf-8", include_str!("../../../../../web/capture.js")),
    ("/web/favicon.svg", "image/svg+xml", include_str!("../../../../../web/favicon.svg")),
];

pub(super) fn routes() -> Router<Arc<App>> {
    FILES.iter().fold(Router::new(), |router, &(path, kind, text)| {
        router.route(path, get(async move || file(kind, text)))
    })
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_the_page_names_is_there() {
        let html = FILES[0].2;
        let scripts = FILES.iter().map(|(_, _, text)| *text).collect::<String>();
        for (path, ..) in &FILES[1..] {
            assert!(scripts.contains(&format!("\"{path}\"")), "{path} is named by nobody");
        }
        assert!(!html.contains("http://") && !html.contains("https://"), "no other server");
    }
}
