//! The tools.

use std::time::{Duration, Instant};

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, Implementation, ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};
use serde::Deserialize;
use serde_json::{Value, json};
use syncline::{MemberState, Namespace, Node};

use super::answers::{self, Refused, answer};
use crate::lines;

/// Entries of a page, if nobody says how many.
const PAGE: usize = 50;
const MOST: usize = 500;
/// How long a wait may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// The server: one namespace of one node.
#[derive(Clone)]
pub(super) struct Memory {
    node: Node,
    namespace: Namespace,
    tool_router: ToolRouter<Self>,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    /// The key, such as "project/decisions/storage". At most 64 KiB. Bytes that are not UTF-8: "base64:" and their base64.
    key: String,
    /// The value, which replaces what the key holds. At most 16 MiB. Bytes that are not UTF-8: "base64:" and their base64.
    value: String,
    /// Forget it after so many seconds; never if not given.
    ttl_seconds: Option<u64>,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Get {
    /// The key.
    key: String,
    /// The cursor of the answer before, to go on in a long value, map or set.
    cursor: Option<String>,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    /// Only keys that begin so; all if not given.
    #[serde(default)]
    prefix: String,
    /// How many entries at most, 1 to 500; 50 if not given. An answer may hold fewer, and ends at some 64 KiB.
    limit: Option<usize>,
    /// The cursor of the answer before, to go on after it.
    cursor: Option<String>,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Delete {
    /// The key.
    key: String,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// How long at most, up to 300 seconds; 30 if not given.
    timeout_seconds: Option<u64>,
}

#[tool_router]
impl Memory {
    pub(super) fn new(node: Node, namespace: Namespace, read_only: bool) -> Self {
        let mut tool_router = Self::tool_router();
        if read_only {
            for name in ["store", "delete"] {
                tool_router.remove_route(name);
            }
        }
        Self {
            node,
            namespace,
            tool_router,
        }
    }

    /// Store a value under a key, in place of what the key holds. It is on disk here when this returns, and reaches the other
    /// members by itself. If two members write one key at the same time, the later write is read everywhere.
    #[tool(annotations(
        destructive_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn store(&self, Parameters(input): Parameters<Store>) -> CallToolResult {
        answer(self.do_store(input).await)
    }

    /// Read what a key holds: a value, a map with its fields, or a set with its members. A long one comes in parts: go on with the
    /// cursor.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    async fn get(&self, Parameters(input): Parameters<Get>) -> CallToolResult {
        answer(self.do_get(input).await)
    }

    /// Read the entries whose keys begin with a prefix, in the order of the keys, with what they hold. Long values are cut after 4
    /// KiB, with their "length": read those with `get`. Go on with the cursor while there is one.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    async fn query(&self, Parameters(input): Parameters<Range>) -> CallToolResult {
        answer(self.page(input, true).await)
    }

    /// List the keys that begin with a prefix, with the types of what they hold. Go on with the cursor while there is one.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    async fn list(&self, Parameters(input): Parameters<Range>) -> CallToolResult {
        answer(self.page(input, false).await)
    }

    /// Delete a key with all that it holds, for every member. What another member writes to it at the same time survives.
    #[tool(annotations(
        destructive_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn delete(&self, Parameters(input): Parameters<Delete>) -> CallToolResult {
        answer(self.do_delete(input).await)
    }

    /// Export the namespace as JSON lines that `syncline import` reads, page by page: go on with the cursor while there is one.
    /// What is longer than a page of 64 KiB is named in "skipped"; `syncline export` prints all.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    async fn export(&self, Parameters(input): Parameters<Range>) -> CallToolResult {
        answer(self.do_export(input).await)
    }

    /// Wait until every member that is up holds the same as this one, by what they say. Answers after the timeout, too, and says who
    /// differs then.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    async fn wait_for_convergence(&self, Parameters(input): Parameters<Wait>) -> CallToolResult {
        answer(self.do_wait(input).await)
    }

    /// Tell how this member and its cluster are: who is there, how many keys there are, who holds the same.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    async fn status(&self) -> CallToolResult {
        answer(self.do_status().await)
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Memory {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("syncline", env!("CARGO_PKG_VERSION")))
            .with_instructions(
                "A key-value memory that several agents share, replicated between machines: what one stores, all read, offline too. \
                 Use keys with slashes, such as \"project/topic\", so that `list` and `query` find them by prefix. Bytes that are not \
                 UTF-8 are written as \"base64:\" and their base64.",
            )
    }
}

impl Memory {
    async fn do_store(&self, input: Store) -> Result<Value, Refused> {
        let (key, value) = (bytes(&input.key)?, bytes(&input.value)?);
        if key.is_empty() {
            return Err(Refused::input("the key is empty; give it a name"));
        }
        self.namespace.put(&key, &value).await?;
        if let Some(seconds) = input.ttl_seconds {
            self.namespace
                .expire(&key, Duration::from_secs(seconds))
                .await?;
        }
        Ok(json!({"stored": lines::text(&key), "bytes": value.len()}))
    }

    async fn do_get(&self, input: Get) -> Result<Value, Refused> {
        let key = bytes(&input.key)?;
        let after = input.cursor.as_deref().map(bytes).transpose()?;
        let asked = key.clone();
        let found = self
            .namespace
            .read(move |view| answers::entry(view, &asked, after.as_deref()));
        let missing = || {
            Refused::new(
                "not_found",
                format!("there is nothing under {:?}", lines::text(&key)),
            )
        };
        found.await?.ok_or_else(missing)
    }

    async fn page(&self, input: Range, whole: bool) -> Result<Value, Refused> {
        let limit = input.limit.unwrap_or(PAGE);
        if !(1..=MOST).contains(&limit) {
            return Err(Refused::input(format!(
                "the limit is 1 to {MOST}, not {limit}"
            )));
        }
        let prefix = bytes(&input.prefix)?;
        let after = input.cursor.as_deref().map(bytes).transpose()?;
        let page = self
            .namespace
            .read(move |view| answers::page(view, &prefix, after.as_deref(), limit, whole));
        Ok(page.await?)
    }

    async fn do_delete(&self, input: Delete) -> Result<Value, Refused> {
        let key = bytes(&input.key)?;
        let was_there = self.namespace.delete(&key).await?;
        Ok(json!({"deleted": was_there}))
    }

    async fn do_export(&self, input: Range) -> Result<Value, Refused> {
        let page = self.page(input, true).await?;
        let (mut lines, mut skipped) = (Vec::new(), Vec::new());
        for entry in page["entries"].as_array().into_iter().flatten() {
            let whole = entry.get("length").is_none() && entry.get("cursor").is_none();
            match whole && entry["type"] != "unknown" {
                true => {
                    let mut entry = entry.clone();
                    if let Some(entry) = entry.as_object_mut() {
                        // Imports know no deadlines.
                        entry.remove("expires_in_seconds");
                    }
                    lines.push(entry.to_string());
                }
                false => skipped.push(entry["key"].clone()),
            }
        }
        Ok(
            json!({"jsonl": lines.join("\n"), "lines": lines.len(), "skipped": skipped, "cursor": page["cursor"]}),
        )
    }

    async fn do_wait(&self, input: Wait) -> Result<Value, Refused> {
        let timeout = Duration::from_secs(input.timeout_seconds.unwrap_or(30)).min(PATIENCE);
        let until = Instant::now() + timeout;
        loop {
            let peers = self.peers().await?;
            let converged = peers
                .iter()
                .all(|peer| peer["up"] == false || peer["agrees"] == true);
            if converged || Instant::now() >= until {
                let alone = peers.is_empty();
                return Ok(json!({"converged": converged, "alone": alone, "peers": peers}));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn do_status(&self) -> Result<Value, Refused> {
        let (keys, root) = self
            .namespace
            .read(|view| Ok((view.count()?, view.root()?)))
            .await?;
        let members = self.node.members().await?;
        let members = members.iter().map(|member| {
            let state = match member.state {
                MemberState::Alive => "alive",
                MemberState::Suspect => "suspect",
                _ => "gone",
            };
            json!({"node": member.node.to_string(), "address": member.address.to_string(), "state": state, "zone": member.zone})
        });
        Ok(json!({
            "version": env!("CARGO_PKG_VERSION"),
            "node": self.node.id().to_string(),
            "cluster": self.node.cluster_id().to_string(),
            "listen": self.node.local_addr().map(|address| address.to_string()),
            "namespace": self.namespace.name(),
            "keys": keys,
            "digest": root.to_string(),
            "members": members.take(MOST).collect::<Vec<_>>(),
            "peers": self.peers().await?,
        }))
    }

    /// The members that carry the namespace, by what they have said last.
    async fn peers(&self) -> Result<Vec<Value>, Refused> {
        let told = self.node.convergence().await?;
        let ours = told
            .iter()
            .filter(|told| told.namespace == self.namespace.name());
        let peers = ours.flat_map(|told| &told.peers).take(MOST);
        let peers = peers.map(|peer| {
            json!({
                "node": peer.peer.to_string(),
                "up": peer.is_up,
                "agrees": peer.heard.is_some() && peer.agrees,
                "changes_it_lacks": peer.behind.dots,
                "changes_we_lack": peer.ahead.dots,
            })
        });
        Ok(peers.collect())
    }
}

/// The bytes that a text of the input stands for.
fn bytes(text: &str) -> Result<Vec<u8>, Refused> {
    lines::bytes(text).map_err(Refused::input)
}
