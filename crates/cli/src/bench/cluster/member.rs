//! One member: a process of its own around a real node, which tells what happens to it.

use std::io::{BufRead, Write, stdin, stdout};
use std::time::Duration;

use syncline::watch::{Change, Event};
use syncline::{MemberEvent, MemberState, Namespace, Node};
use tokio::sync::mpsc;

use super::protocol::{Order, Said, now};
use crate::args::BenchMember;
use crate::bench::workload::NAMESPACE;
use crate::failure::{Doing, Failure};
use crate::seeded::Seeded;

/// How often members are counted, while the cluster forms.
const COUNT: Duration = Duration::from_millis(50);
/// Rows that one transaction fills.
const BATCH: u64 = 1_000;

pub(crate) async fn run(arguments: &BenchMember) -> Result<(), Failure> {
    let outcome = serve(arguments).await;
    if let Err(failure) = &outcome {
        let error = failure.to_string();
        say(&Said::Failed { error })?;
    }
    outcome
}

async fn serve(arguments: &BenchMember) -> Result<(), Failure> {
    let mut builder = Node::builder()
        .data_dir(&arguments.data)
        .identity(&arguments.identity)
        .listen(arguments.listen.to_string());
    if let Some(seed) = arguments.join {
        builder = builder.join(seed);
    }
    if let Some(budget) = arguments.budget {
        builder = builder.budget(budget);
    }
    let node = builder.start().await;
    let node = node.doing(|| "cannot start the node".to_owned())?;
    let namespace = node.namespace(NAMESPACE);
    let namespace = namespace.doing(|| "cannot open the namespace".to_owned())?;
    let count = namespace.count().await;
    count.doing(|| "cannot open the namespace".to_owned())?;
    let address = node.local_addr();
    say(&Said::Ready {
        address: address.ok_or_else(|| Failure::failed("the node does not listen"))?,
        node: node.id().to_string(),
    })?;
    let watching = tokio::spawn(watch(namespace.clone()));
    let counting = tokio::spawn(count_members(node.clone()));
    let following = tokio::spawn(follow(node.clone()));
    let mut orders = orders();
    while let Some(line) = orders.recv().await {
        let order = serde_json::from_str(&line).doing(|| "cannot make out an order".to_owned())?;
        if let Order::Close = order {
            break;
        }
        carry_out(&node, &namespace, order).await?;
    }
    for task in [watching, counting, following] {
        task.abort();
    }
    crate::home::close(node).await
}

async fn carry_out(node: &Node, namespace: &Namespace, order: Order) -> Result<(), Failure> {
    let writing = || "cannot write".to_owned();
    let answer = match order {
        Order::Put { key, value } => {
            let at = now();
            namespace.put(&key, value).await.doing(writing)?;
            Said::Written { key, at }
        }
        Order::Remove { key } => {
            let at = now();
            namespace.delete(&key).await.doing(writing)?;
            Said::Written { key, at }
        }
        Order::Fill { rows } => {
            for first in (0..rows).step_by(BATCH as usize) {
                let fill = namespace.transaction(move |t| {
                    for row in first..rows.min(first + BATCH) {
                        // Not to be compressed by anybody on the way.
                        let mut value = [0; 1_000];
                        Seeded::new(row).fill(&mut value);
                        t.put(format!("fill {row}"), value)?;
                    }
                    Ok(())
                });
                fill.await.doing(writing)?;
            }
            Said::Filled
        }
        Order::Root => {
            let root = namespace.read(|view| {
                Ok(Said::Root {
                    digest: view.root()?.to_string(),
                    rows: view.row_count(),
                })
            });
            root.await.doing(|| "cannot read".to_owned())?
        }
        Order::Traffic => {
            let topology = node.topology().await;
            let topology = topology.doing(|| "the node has ended".to_owned())?;
            Said::Traffic {
                bytes: topology.traffic.transport_bytes,
                at: now(),
            }
        }
        Order::Close => return Ok(()),
    };
    say(&answer)
}

async fn watch(namespace: Namespace) -> Result<(), Failure> {
    let events = namespace.watch("write ").await;
    let mut events = events.doing(|| "cannot watch".to_owned())?;
    loop {
        let event = events.next().await;
        let event = event.doing(|| "cannot watch".to_owned())?;
        let Event::Change(Change::Value { key, values, .. }) = event else {
            continue;
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        say(&Said::Shown {
            key: text(key),
            value: values.into_iter().next().map(text),
            at: now(),
        })?;
    }
}

async fn count_members(node: Node) -> Result<(), Failure> {
    let mut told = 0;
    loop {
        let members = node.members().await;
        let members = members.doing(|| "the node has ended".to_owned())?;
        let there = members
            .iter()
            .filter(|it| it.state == MemberState::Alive && it.namespaces.contains(NAMESPACE));
        let there = there.count();
        if there != told {
            told = there;
            say(&Said::Members(there))?;
        }
        tokio::time::sleep(COUNT).await;
    }
}

async fn follow(node: Node) -> Result<(), Failure> {
    let mut events = node.member_events();
    loop {
        match events.next().await {
            Ok(Some(MemberEvent::Down(node))) => say(&Said::Down {
                node: node.to_string(),
                at: now(),
            })?,
            Ok(None) => return Ok(()),
            Ok(Some(_)) | Err(_) => {}
        }
    }
}

fn orders() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn say(said: &Said) -> Result<(), Failure> {
    let saying = || "cannot print".to_owned();
    let mut line = serde_json::to_vec(said).doing(saying)?;
    line.push(b'\n');
    let mut output = stdout().lock();
    output
        .write_all(&line)
        .and_then(|()| output.flush())
        .doing(saying)
}
