//! The HTTP service the GitHub and E2B adapters send through: one shared reqwest client below the call layer.
//! The client itself is built in `app`, and nowhere else.

use super::{BoxError, HttpService, calls::CallLayer};
use futures::future::BoxFuture;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// `client` behind `layer`. The client must not follow redirects: an adapter decides what a redirect means.
pub fn http_service(client: reqwest::Client, layer: &CallLayer) -> HttpService {
    HttpService::new(layer.layer(ReqwestService(client)))
}

/// A reqwest client as a tower service. Nothing is sent before the future is polled.
#[derive(Clone)]
struct ReqwestService(reqwest::Client);

impl Service<http::Request<reqwest::Body>> for ReqwestService {
    type Response = http::Response<reqwest::Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<reqwest::Body>) -> Self::Future {
        let client = self.0.clone();
        Box::pin(async move {
            let request = reqwest::Request::try_from(request)?;
            Ok(client.execute(request).await?.into())
        })
    }
}
