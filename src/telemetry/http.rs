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
            // A URL may be signed: whoever reads it in a log could use it.
            Ok(client.execute(request).await.map_err(reqwest::Error::without_url)?.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_error_shows_the_url() {
        // Refused when another test was first; then that one's is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = http::Request::put("http://127.0.0.1:1/object?signature=sesame");
        let request = request.body(reqwest::Body::default()).expect("a request");
        let error = ReqwestService(client).call(request).await.expect_err("nobody listens there");
        let all = std::iter::successors(Some(&*error as &dyn std::error::Error), |error| error.source());
        let told: Vec<String> = all.map(|error| format!("{error} {error:?}")).collect();
        assert!(!told.join("").contains("sesame"), "{told:?}");
    }
}
