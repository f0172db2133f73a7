//! Asking a node over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;

use crate::failure::{Failure, Reason};

/// How long a node may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer at most.
const LONGEST: u64 = 64 << 20;

pub(super) struct Client {
    agent: Agent,
    admin: SocketAddr,
}

impl Client {
    pub(super) fn new(admin: SocketAddr) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            // A node is asked itself, whatever leads elsewhere.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .build();
        Self {
            agent: config.into(),
            admin,
        }
    }

    pub(super) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let admin = self.admin;
        let failed = |reason: &dyn std::fmt::Display, advice: &str| {
            let text = format!("no answer from a node at {admin} ({reason}); {advice}");
            Failure::new(Reason::Peer, text)
        };
        let request = self.agent.get(format!("http://{admin}{path}"));
        let answer = request.query_pairs(query.iter().copied()).call();
        let mut answer = answer.map_err(|error| {
            failed(
                &error,
                "start one, or give the address that it was given as --admin",
            )
        })?;
        let body = answer.body_mut().with_config().limit(LONGEST);
        let body = body
            .read_to_string()
            .map_err(|error| failed(&error, "ask again"))?;
        if answer.status().is_client_error() {
            let text = format!("the node at {admin} says: {}", body.trim_end());
            return Err(Failure::new(Reason::Usage, text));
        }
        if !answer.status().is_success() {
            return Err(failed(&body.trim_end(), "ask again"));
        }
        serde_json::from_str(&body)
            .map_err(|error| failed(&error, "is it a node, and of this version?"))
    }
}
