//! The server's sockets: accept, TLS, HTTP/1.1, bodies. A slow or broken
//! client holds up nobody: every connection is a task of its own.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::api::{self, Reply};
use crate::render::Rendered;
use crate::request::{Head, MAX_BODY, Request};
use crate::state::State;
use crate::watch::Watch;

/// How long a client may take for its TLS handshake, and for a request's head.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of a body that is too long is read, so that its sender gets to
/// see the answer.
const DRAINED: usize = 16 * 1024 * 1024;

/// Accepts connections until told to stop, then closes them all.
pub async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    state: Arc<Mutex<State>>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, tls.clone(), Arc::clone(&state), stop.clone()));
            }
            // Out of descriptors, or the client has gone: neither is a reason to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    state: Arc<Mutex<State>>,
    mut stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(PATIENCE, tls.accept(stream));
    let Ok(Ok(stream)) = handshake.await else { return };
    let stopped = stop.clone();
    let service = service_fn(move |request| {
        let (state, stopped) = (Arc::clone(&state), stopped.clone());
        async move { Ok::<_, Infallible>(respond(state, request, stopped).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        _ = stop.changed() => served.as_mut().graceful_shutdown(),
    }
    // An answer under way is finished, an idle connection closes at once.
    let _ = tokio::time::timeout(Duration::from_secs(1), served).await;
}

fn head(request: &hyper::Request<Incoming>) -> Head {
    let header = |name: HeaderName| {
        let value = request.headers().get(name).and_then(|v| v.to_str().ok());
        value.unwrap_or_default().to_string()
    };
    Head {
        method: request.method().to_string(),
        path: request.uri().path().to_string(),
        query: request.uri().query().unwrap_or_default().to_string(),
        accept: header(header::ACCEPT),
        content_type: header(header::CONTENT_TYPE),
        user_agent: header(header::USER_AGENT),
        authorization: header(header::AUTHORIZATION),
    }
}

async fn respond(
    state: Arc<Mutex<State>>,
    request: hyper::Request<Incoming>,
    stop: watch::Receiver<bool>,
) -> Response<Content> {
    let admitted = api::admit(&api::lock(&state), head(&request));
    let rendered = match admitted {
        Err(refused) => *refused,
        Ok(admitted) => match body(request.into_body()).await {
            Ok(body) => match answer(&state, Request { body, ..admitted }) {
                Reply::Whole(rendered) => rendered,
                Reply::Events(watch) => return events(state, *watch, stop),
            },
            // The client broke off in the middle of its body; nobody reads an answer.
            Err(_) => Rendered::new(400, "text/plain; charset=utf-8", Vec::new()),
        },
    };
    response(rendered)
}

/// Answers behind a guard: a bug in one handler must not end the server.
fn answer(state: &Mutex<State>, request: Request) -> Reply {
    let guarded = std::panic::AssertUnwindSafe(|| api::answer(&mut api::lock(state), &request));
    std::panic::catch_unwind(guarded).unwrap_or_else(|_| {
        let text = "This request caused apiserver to panic. Look in the logs for details.";
        let status = crate::status::Status::internal(text);
        Reply::Whole(crate::render::error(status, &request.query, &request.user_agent))
    })
}

/// The whole body, or None if it is longer than the API takes.
async fn body(mut body: Incoming) -> Result<Option<Vec<u8>>, hyper::Error> {
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len();
        if length > DRAINED {
            break;
        }
        if length <= MAX_BODY {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
        }
    }
    Ok((length <= MAX_BODY).then_some(bytes))
}

fn response(rendered: Rendered) -> Response<Content> {
    let mut response = Response::new(Content::Whole(Full::new(Bytes::from(rendered.body))));
    *response.status_mut() = StatusCode::from_u16(rendered.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(rendered.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    if rendered.no_sniff {
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    if let Some(seconds) = rendered.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    for warning in rendered.warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            headers.append(header::WARNING, value);
        }
    }
    response
}

/// The body of an answer. Events come as long as somebody makes them, and
/// nobody makes them once this is dropped.
enum Content {
    Whole(Full<Bytes>),
    Events(mpsc::Receiver<Bytes>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Content::Whole(body) => Pin::new(body).poll_frame(cx),
            Content::Events(events) => Poll::Ready(ready!(events.poll_recv(cx)).map(|e| Ok(Frame::data(e)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Content::Whole(body) if body.is_end_stream())
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Content::Whole(body) => body.size_hint(),
            Content::Events(_) => hyper::body::SizeHint::default(),
        }
    }
}

fn events(state: Arc<Mutex<State>>, watch: Watch, mut stop: watch::Receiver<bool>) -> Response<Content> {
    // A reader who is slow is waited for; what he misses meanwhile is bounded by the history.
    let (sender, receiver) = mpsc::channel(1);
    let lasts = watch.lasts();
    tokio::spawn(async move {
        if lasts.is_zero() {
            return;
        }
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            () = tokio::time::sleep(lasts) => {}
            () = tell(&state, watch, sender) => {}
        }
    });
    let mut response = response(Rendered::new(200, "application/json", Vec::new()));
    *response.body_mut() = Content::Events(receiver);
    response
}

async fn tell(state: &Mutex<State>, mut watch: Watch, events: mpsc::Sender<Bytes>) {
    let mut changes = api::lock(state).changes();
    let began = Instant::now();
    let mut bookmark = watch.bookmark_due(began, began);
    loop {
        changes.mark_unchanged();
        loop {
            let next = watch.next(&api::lock(state));
            let Some(event) = next else { break };
            if events.send(Bytes::from(event)).await.is_err() {
                return;
            }
        }
        if watch.is_over() {
            return;
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = events.closed() => return,
            () = at(bookmark) => {
                bookmark = watch.bookmark_due(began, Instant::now());
                if let Some(mark) = watch.bookmark()
                    && events.send(Bytes::from(mark)).await.is_err()
                {
                    return;
                }
            }
        }
    }
}

/// Never, if there is no such time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
