//! The HTTP port: what probes and Prometheus ask. It has a thread of its own, so that a slow browser costs the engine
//! nothing, and `/healthz` really says whether the engine still turns: it is asked, and has to answer in time.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use node::overview::Overview;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long the engine may take to say how it is.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Somebody wants to know how the node is.
pub type Question = oneshot::Sender<Overview>;

/// How the HTTP thread reaches the engine, once there is one.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    engine: Arc<Mutex<Option<mpsc::Sender<Question>>>>,
}

impl Desk {
    /// From now on questions are answered by whoever holds the other end.
    pub fn open(&self) -> mpsc::Receiver<Question> {
        let (sender, receiver) = mpsc::channel(16);
        *self.engine.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(sender);
        receiver
    }

    async fn ask(&self) -> Asked {
        let engine = self.engine.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let Some(engine) = engine else { return Asked::Starting };
        let asking = async {
            let (question, answer) = oneshot::channel();
            engine.send(question).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, asking).await {
            Ok(Some(overview)) => Asked::Overview(Box::new(overview)),
            _ => Asked::Stuck,
        }
    }
}

enum Asked {
    /// There is no node yet.
    Starting,
    /// The engine doesn't answer.
    Stuck,
    Overview(Box<Overview>),
}

/// Serves the port from a thread of its own, for as long as the process lives.
pub fn spawn(listener: std::net::TcpListener, desk: Desk) -> io::Result<()> {
    std::thread::Builder::new().name("http".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!("the HTTP port isn't served: {error}"),
        };
        runtime.block_on(async {
            let served = async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(listener, router(desk)).await
            };
            if let Err(error) = served.await {
                tracing::error!("the HTTP port isn't served any more: {error}");
            }
        });
    })?;
    Ok(())
}

fn router(desk: Desk) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .with_state(desk)
}

const STARTING: &str = "sihai is starting: it isn't a member of a cluster yet\n";
const STUCK: &str = "the engine doesn't answer\n";

async fn healthz(State(desk): State<Desk>) -> (StatusCode, &'static str) {
    match desk.ask().await {
        Asked::Stuck => (StatusCode::SERVICE_UNAVAILABLE, STUCK),
        Asked::Starting | Asked::Overview(_) => (StatusCode::OK, "ok\n"),
    }
}

async fn readyz(State(desk): State<Desk>) -> (StatusCode, String) {
    match desk.ask().await {
        Asked::Overview(overview) if overview.ready => (StatusCode::OK, "ready\n".into()),
        Asked::Overview(overview) if overview.not_ready.is_empty() => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready yet\n".into())
        }
        Asked::Overview(overview) => (StatusCode::SERVICE_UNAVAILABLE, overview.not_ready.join("\n") + "\n"),
        Asked::Starting => (StatusCode::SERVICE_UNAVAILABLE, STARTING.into()),
        Asked::Stuck => (StatusCode::SERVICE_UNAVAILABLE, STUCK.into()),
    }
}

async fn metrics(State(desk): State<Desk>) -> Response {
    const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
    render(desk.ask().await, PROMETHEUS, node::views::metrics::metrics)
}

async fn status(State(desk): State<Desk>) -> Response {
    render(desk.ask().await, "application/json", node::views::status::status)
}

fn render(asked: Asked, kind: &'static str, view: impl Fn(&Overview) -> String) -> Response {
    match asked {
        Asked::Overview(overview) => ([(header::CONTENT_TYPE, kind)], view(&overview)).into_response(),
        Asked::Starting => (StatusCode::SERVICE_UNAVAILABLE, STARTING).into_response(),
        Asked::Stuck => (StatusCode::SERVICE_UNAVAILABLE, STUCK).into_response(),
    }
}
