//! The sessions of a web site, on every server of it: `cargo run -p syncline --example sessions`
//!
//! Whichever server a request reaches knows the session, and none has to ask another. What needs care is that a logout must
//! hold even if another server, which has not heard of it yet, prolongs the session at the same time. The write would
//! survive the removal, so a logout is not only a removal: it is a fact of its own, which is looked at first.

use std::error::Error;

use serde::{Deserialize, Serialize};
use syncline::typed::decode;
use syncline::{Namespace, Node};

/// How long a session lasts without a request, in seconds.
const IDLE: u64 = 30 * 60;
/// How long a logout is remembered, in seconds: longer than any server may be away from the others.
const REMEMBERED: u64 = 30 * 24 * 60 * 60;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    user: String,
    /// When the last request came, in seconds since 1970.
    seen: u64,
}

/// The sessions, as one server has them.
struct Sessions(Namespace);

impl Sessions {
    fn on(server: &Node) -> Result<Self, Box<dyn Error>> {
        Ok(Self(server.namespace("sessions")?))
    }

    /// Begins a session, and returns the token for the user's cookie.
    async fn log_in(&self, user: &str, now: u64) -> Result<String, Box<dyn Error>> {
        let token = format!("{:032x}", rand::random::<u128>());
        let session = Session {
            user: user.to_owned(),
            seen: now,
        };
        self.0.put_as(key(&token), &session).await?;
        Ok(token)
    }

    /// Whose request this is, if anybody's. Prolongs the session.
    async fn request(&self, token: &str, now: u64) -> Result<Option<String>, Box<dyn Error>> {
        let token = token.to_owned();
        let seen = self.0.transaction(move |t| {
            if t.kind(ended(&token))?.is_some() {
                return Ok(None);
            }
            let session: Option<Session> = t.get_as(key(&token))?;
            let Some(mut session) = session.filter(|session| now < session.seen + IDLE) else {
                return Ok(None);
            };
            // Not at every request: the other servers would be told each time.
            if session.seen + IDLE / 10 <= now {
                session.seen = now;
                t.put_as(key(&token), &session)?;
            }
            Ok(Some(session.user))
        });
        Ok(seen.await?)
    }

    /// Ends a session, wherever it is prolonged meanwhile.
    async fn log_out(&self, token: &str, now: u64) -> Result<(), Box<dyn Error>> {
        let token = token.to_owned();
        let end = self.0.transaction(move |t| {
            t.put_as(ended(&token), &now)?;
            t.delete(key(&token))
        });
        end.await?;
        Ok(())
    }

    /// Removes what is over; returns how much that was. Any server may do it, or all of them.
    async fn sweep(&self, now: u64) -> Result<usize, Box<dyn Error>> {
        let mut over = Vec::new();
        let mut sessions = self.0.scan("session:").await?;
        while let Some((key, value)) = sessions.next().await? {
            if decode::<Session>(&value)?.seen + IDLE <= now {
                over.push(key);
            }
        }
        let mut logouts = self.0.scan("ended:").await?;
        while let Some((key, value)) = logouts.next().await? {
            if decode::<u64>(&value)? + REMEMBERED <= now {
                over.push(key);
            }
        }
        for key in &over {
            self.0.delete(key).await?;
        }
        Ok(over.len())
    }
}

fn key(token: &str) -> String {
    format!("session:{token}")
}

fn ended(token: &str) -> String {
    format!("ended:{token}")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = syncline::testing::cluster(3).await?;
    let mut sites = Vec::new();
    for server in servers.nodes() {
        sites.push(Sessions::on(server)?);
    }
    let now = 1_700_000_000;

    let ada = sites[0].log_in("ada", now).await?;
    println!("ada logs in at server 0, token {ada}");
    servers.sync_all().await?;
    let user = sites[2].request(&ada, now + 600).await?;
    println!("server 2 takes her next request for that of {user:?}");
    assert_eq!(user.as_deref(), Some("ada"));
    servers.sync_all().await?;

    println!("server 2 is cut off");
    servers.cut(0, 2);
    servers.cut(1, 2);
    let bob = sites[2].log_in("bob", now + 900).await?;
    sites[0].log_out(&ada, now + 1200).await?;
    let user = sites[2].request(&ada, now + 1200).await?;
    println!("ada logs out at server 0; server 2 cannot know, and still serves {user:?}");
    assert_eq!(user.as_deref(), Some("ada"));

    servers.heal().await?;
    for (at, site) in sites.iter().enumerate() {
        let users = [
            site.request(&ada, now + 1300).await?,
            site.request(&bob, now + 1300).await?,
        ];
        println!("healed, server {at} knows {users:?}");
        assert_eq!(users, [None, Some("bob".to_owned())]);
    }

    let over = sites[1].sweep(now + 1300 + IDLE).await?;
    servers.heal().await?;
    println!("half an hour later {over} sessions are swept");
    assert_eq!(
        (over, sites[0].request(&bob, now + 1300 + IDLE).await?),
        (2, None)
    );
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
