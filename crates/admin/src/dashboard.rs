//! The dashboard: one page over the JSON of this face, kept in the program. It loads nothing from elsewhere, and its policy forbids it to.

use axum::Router;
use axum::http::header::{self, HeaderName};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

use crate::face::Shown;

const HTML: &str = "text/html; charset=utf-8";
const ICON: &str = "image/svg+xml";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// What the page may do: load what is served here, ask this face, and nothing else. No inline script or style, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! files {
    ($($path:literal, $file:literal, $kind:ident;)*) => {
        Router::new()$(.route($path, get(|| async { file($kind, include_str!(concat!("dashboard/", $file))) })))*
    };
}

pub(crate) fn routes() -> Router<Arc<Shown>> {
    files! {
        "/", "index.html", HTML;
        "/dashboard/icon.svg", "icon.svg", ICON;
        "/dashboard/style.css", "style.css", CSS;
        "/dashboard/main.js", "main.js", JS;
        "/dashboard/feed.js", "feed.js", JS;
        "/dashboard/show.js", "show.js", JS;
        "/dashboard/map.js", "map.js", JS;
        "/dashboard/charts.js", "charts.js", JS;
        "/dashboard/ranges.js", "ranges.js", JS;
        "/dashboard/conflicts.js", "conflicts.js", JS;
    }
}

fn file(kind: &'static str, text: &'static str) -> Response {
    const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (OPENER, "same-origin"),
        // The program that serves it may be another one tomorrow.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
