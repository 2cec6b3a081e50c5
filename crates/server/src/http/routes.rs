//! The registry of all routes: path, methods, and access. A route requires a key unless it is registered with
//! another access.

use std::collections::HashMap;
use std::sync::Arc;

use antiphon_desk::{Access, Entrant, Unauthorized};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;
use utoipa::openapi::{OpenApi, PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::error::ApiError;
use super::forwarded::RequestSource;
use super::in_the_shape_of;
use super::visit::Visit;
use crate::app::App;

/// A route of the server, and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method that it answers.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: String,
    /// The credentials that it requires.
    pub access: Access,
}

/// The routes registered so far.
pub(crate) struct Routes {
    router: OpenApiRouter<Arc<App>>,
    recorded: Vec<Route>,
}

impl Routes {
    /// Starts without routes. `description` is the OpenAPI document without its paths.
    pub(super) fn new(description: OpenApi) -> Self {
        Self { router: OpenApiRouter::with_openapi(description), recorded: Vec::new() }
    }

    /// Adds handlers with their own OpenAPI descriptions, as `routes!` collects them.
    #[must_use]
    pub(crate) fn described(mut self, access: Access, handlers: UtoipaMethodRouter<Arc<App>>) -> Self {
        for (path, item) in &handlers.1.paths {
            let methods = methods(item).into_iter();
            self.recorded.extend(methods.map(|method| Route { method, path: path.clone(), access }));
        }
        Self { router: self.router.routes(handlers), ..self }
    }

    /// Adds a handler that is not in the OpenAPI document, or is described there by hand.
    #[must_use]
    pub(crate) fn plain(
        mut self,
        access: Access,
        methods: &[Method],
        path: &str,
        handler: MethodRouter<Arc<App>>,
    ) -> Self {
        let route = |method: &Method| Route { method: method.clone(), path: path.to_owned(), access };
        self.recorded.extend(methods.iter().map(route));
        Self { router: self.router.route(path, handler), ..self }
    }

    /// The routes registered so far.
    pub(super) fn recorded(&self) -> &[Route] {
        &self.recorded
    }

    /// The OpenAPI document with the descriptions of the routes registered so far.
    pub(super) fn document(&mut self) -> OpenApi {
        self.router.to_openapi()
    }

    /// The router with all routes, behind the one layer that checks keys.
    pub(super) fn behind_keys(self, app: &Arc<App>) -> Router<Arc<App>> {
        let mut access = HashMap::new();
        for Route { path, access: who, .. } in self.recorded {
            let before = access.insert(path.clone(), who);
            assert!(
                before.is_none_or(|before| before == who),
                "{path} is registered for two kinds of callers"
            );
        }
        let guard = Guard { app: Arc::clone(app), access: Arc::new(access) };
        let (router, _) = self.router.split_for_parts();
        router.route_layer(from_fn_with_state(guard, ask_for_key))
    }
}

/// The methods with which a path is described.
fn methods(item: &PathItem) -> Vec<Method> {
    let there = [
        (&item.get, Method::GET),
        (&item.post, Method::POST),
        (&item.put, Method::PUT),
        (&item.patch, Method::PATCH),
        (&item.delete, Method::DELETE),
    ];
    there.into_iter().filter(|(operation, _)| operation.is_some()).map(|(_, method)| method).collect()
}

#[derive(Clone)]
struct Guard {
    app: Arc<App>,
    access: Arc<HashMap<String, Access>>,
}

/// Admits a request and adds who sent it as an extension ([`Entrant`]), or refuses it.
async fn ask_for_key(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let access = path.and_then(|path| guard.access.get(path.as_str())).copied().unwrap_or(Access::Key);
    let visit = request.extensions_mut().remove::<Visit>();
    let become_known = || visit.as_ref().is_none_or(Visit::is_known);
    match let_in(&guard.app, access, request.headers()) {
        Ok(entrant) => {
            if entrant.key.is_some() && !become_known() && access == Access::Key {
                let message = "too many connections: keep fewer of them open, and try again soon";
                let full =
                    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).code("too_many_connections");
                return in_the_shape_of(request.uri(), full);
            }
            let source = request.extensions().get::<RequestSource>().copied();
            let (address, is_local) =
                source.map_or((None, false), |source| (Some(source.address), source.is_local));
            request.extensions_mut().insert(Entrant { address, is_local, ..entrant });
            let response = next.run(request).await;
            let is_signed = access == Access::Signed && guard.app.http.telephony.is_signed();
            if is_signed && response.status().is_success() {
                // The door has found the signature right.
                become_known();
            }
            response
        }
        Err(refused) => in_the_shape_of(request.uri(), refused.into()),
    }
}

fn let_in(app: &App, access: Access, headers: &HeaderMap) -> Result<Entrant, Unauthorized> {
    match access {
        Access::Public | Access::Signed => Ok(Entrant::default()),
        Access::Key => app.desk.keys.check_host(headers).and_then(|()| app.desk.keys.check(headers)),
        Access::Call => app.desk.keys.check_host(headers).and_then(|()| app.doors.let_in(headers)),
    }
}
