//! The changes of the members as server-sent events, for programs that follow them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Serialize;
use syncline::{MemberEvent, MemberEvents};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::collect;
use crate::face::{Shared, Shown};
use crate::report::Change;

/// One reader.
struct Reader {
    shown: Arc<Shown>,
    events: MemberEvents,
    closing: watch::Receiver<bool>,
    /// Whether the reader knows nothing yet, or has missed something.
    behind: Option<&'static str>,
    _place: OwnedSemaphorePermit,
}

pub(crate) async fn stream(State(shown): Shared) -> Response {
    let Ok(place) = shown.readers.clone().try_acquire_owned() else {
        let refused = "too many follow the events already; try again later\n";
        return (StatusCode::SERVICE_UNAVAILABLE, refused).into_response();
    };
    let reader = Reader {
        // From before the list is made, so that nothing falls in between.
        events: shown.node.member_events(),
        closing: shown.closing.clone(),
        shown,
        behind: Some("members"),
        _place: place,
    };
    let events = unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

impl Reader {
    /// The next event; `None` when the node, or its face, ends.
    async fn next(&mut self) -> Option<Event> {
        if let Some(name) = self.behind.take() {
            let peers = collect::peers(&self.shown.node).await.ok()?;
            return event(name, &peers);
        }
        loop {
            let next = tokio::select! {
                next = self.events.next() => next,
                _ = self.closing.wait_for(|closing| *closing) => return None,
            };
            match next {
                Ok(Some(change)) => match described(&change) {
                    Some(change) => return event("change", &change),
                    None => continue,
                },
                Ok(None) => return None,
                Err(_missed) => {
                    let peers = collect::peers(&self.shown.node).await.ok()?;
                    return event("missed", &peers);
                }
            }
        }
    }
}

fn event(name: &str, told: &impl Serialize) -> Option<Event> {
    Event::default().event(name).json_data(told).ok()
}

fn described(event: &MemberEvent) -> Option<Change> {
    let (kind, node, peer) = match event {
        MemberEvent::Up(member) => ("up", member.node, Some(collect::member(member))),
        MemberEvent::Changed(member) => ("changed", member.node, Some(collect::member(member))),
        MemberEvent::Suspect(node) => ("suspect", *node, None),
        MemberEvent::Down(node) => ("down", *node, None),
        MemberEvent::Left(node) => ("left", *node, None),
        // Of a later version of the library.
        _ => return None,
    };
    Some(Change {
        kind: kind.to_owned(),
        node: node.to_string(),
        peer,
    })
}
