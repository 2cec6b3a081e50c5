//! Every registered route requires a key unless it is public.

use antiphon_desk::{Access, Keys};
use antiphon_server::http::routes;
use antiphon_server::settings::Settings;
use serde_json::{Value, json};

use crate::support::Server;

/// The public routes, apart from the files of the pages.
const PUBLIC: [&str; 6] = ["/", "/dashboard", "/healthz", "/readyz", "/metrics", "/openapi.json"];
/// The extensions of the files of the pages.
const FILES: [&str; 3] = [".js", ".css", ".svg"];

#[tokio::test]
async fn every_route_asks_for_a_key_unless_it_is_public() {
    let server = Server::start(Settings { keys: Keys::new(["sk-test"]), ..Settings::default() });
    let http = reqwest::Client::new();
    let secrets =
        http.post(server.url("/v1/realtime/client_secrets")).bearer_auth("sk-test").json(&json!({}));
    let made: Value = secrets.send().await.expect("answers").json().await.expect("JSON");
    let secret = made["value"].as_str().expect("a client secret").to_owned();
    let routes = routes(&server.app);
    assert!(routes.len() > 40, "{} routes", routes.len());
    for route in routes {
        let url = server.url(&route.path.replace(['{', '}'], ""));
        let ask = async |key: Option<&str>| {
            let request = http.request(route.method.clone(), &url);
            let request = key.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
            request.send().await.expect("answers").status().as_u16()
        };
        let (without, wrong, short_lived) =
            (ask(None).await, ask(Some("sk-other")).await, ask(Some(&secret)).await);
        let seen =
            format!("{route:?}: {without} without a key, {wrong} with a wrong one, {short_lived} with ek_");
        match route.access {
            Access::Public => {
                let file = FILES.iter().any(|end| route.path.ends_with(end));
                assert!(file || PUBLIC.contains(&route.path.as_str()), "{seen}");
                assert_eq!(without, 200, "{seen}");
            }
            Access::Key => assert_eq!((without, wrong, short_lived), (401, 401, 401), "{seen}"),
            Access::Call => {
                assert_eq!((without, wrong), (401, 401), "{seen}");
                assert_ne!(short_lived, 401, "{seen}");
            }
            Access::Signed => assert_eq!((without, wrong, short_lived), (403, 403, 403), "{seen}"),
        }
    }
    server.stop().await;
}
