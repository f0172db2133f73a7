//! `syncline cluster join`.

use std::io::Read as _;

use serde_json::json;
use syncline::Node;
use syncline::trust::{JoinError, Token, TokenError};

use super::{days, unix};
use crate::args::ClusterJoin;
use crate::failure::{Doing, Failure, Reason};

/// More than any token has.
const LONGEST: u64 = 64 << 10;

pub(super) async fn run(arguments: &ClusterJoin) -> Result<(), Failure> {
    let text = match arguments.token.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin()
                .take(LONGEST)
                .read_to_string(&mut text)
                .doing(|| "cannot read the token from standard input".to_owned())?;
            text
        }
        token => token.to_owned(),
    };
    let token: Token = text.parse().map_err(|error: TokenError| {
        Failure::caused("cannot join", &error).because(Reason::BadInput)
    })?;
    let admission = Node::join(&token, &arguments.data)
        .await
        .map_err(|error: JoinError| {
            let failure = Failure::caused("cannot join", &error);
            match error.is_of_the_peer() {
                true => failure.because(Reason::Peer),
                false => failure,
            }
        })?;
    let expires = unix(admission.expires_at);
    if arguments.json {
        println!(
            "{}",
            json!({
                "node": admission.node.to_string(),
                "cluster": admission.cluster.to_string(),
                "namespaces": admission.namespaces,
                "expires": expires,
                "identity": admission.identity,
            })
        );
        return Ok(());
    }
    println!(
        "joined cluster {} as node {}\n\
         it may carry {}; its certificate is good for {}",
        admission.cluster,
        admission.node,
        match &admission.namespaces {
            None => "every namespace".to_owned(),
            Some(names) => names.join(", "),
        },
        days(expires.saturating_sub(unix(std::time::SystemTime::now()))),
    );
    Ok(())
}
