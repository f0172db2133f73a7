//! `syncline mcp`: a replicated memory for agents, as a Model Context Protocol server on standard input and output.
//!
//! Standard output belongs to the protocol; logs go to standard error. The server is a node with the namespace in its data
//! directory, so what an agent stores is on disk when it is told so, and spreads while the server runs.

mod answers;
mod tools;

use rmcp::ServiceExt as _;
use syncline::Node;

use self::tools::Memory;
use crate::args::Mcp;
use crate::failure::{Doing, Failure, Reason};
use crate::node::signals::{Asked, Signals};

pub(crate) async fn run(arguments: &Mcp) -> Result<(), Failure> {
    let home = &arguments.place.home;
    let mut builder = Node::builder()
        .data_dir(&home.data)
        .listen(arguments.listen.to_string())
        .carry(&arguments.place.namespace);
    if let Some(identity) = &home.identity {
        builder = builder.identity(identity);
    }
    for member in &arguments.join {
        builder = builder.join(member.as_str());
    }
    let node = builder.start().await.map_err(|error| {
        let failure = Failure::caused("cannot start the node", &error);
        match error.is_in_use() {
            true => failure.because(Reason::InUse),
            false => failure,
        }
    })?;
    let served = serve(arguments, &node).await;
    let ended = node.shutdown().await;
    served?;
    ended.doing(|| "cannot end the node in order".to_owned())
}

async fn serve(arguments: &Mcp, node: &Node) -> Result<(), Failure> {
    let namespace = node
        .namespace(&arguments.place.namespace)
        .doing(|| "cannot open the namespace".to_owned())?;
    tracing::info!(node = %node.id(), listen = ?node.local_addr(), "serving a memory");
    let memory = Memory::new(node.clone(), namespace, arguments.read_only);
    let talking = memory.serve(rmcp::transport::stdio()).await;
    let talking = match talking {
        Ok(talking) => talking,
        // It hung up before it had said anything.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => {
            return Err(
                Failure::caused("the client does not speak the protocol", &error)
                    .because(Reason::Peer),
            );
        }
    };
    let mut signals = Signals::take().doing(|| "cannot listen to signals".to_owned())?;
    tokio::select! {
        ended = talking.waiting() => ended.map(drop).doing(|| "the server broke off".to_owned()),
        Asked::End { exit_code } = signals.next() => {
            // Whoever reads standard input cannot be interrupted, so nobody waits for that.
            node.shutdown().await.doing(|| "cannot end the node in order".to_owned())?;
            std::process::exit(exit_code)
        }
    }
}
