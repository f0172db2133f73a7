//! Opening a node where its things are.

use std::path::Path;

use syncline::{Namespace, Node};

use crate::args::{Home, Place};
use crate::failure::{Doing, Failure, Reason};

/// A node that nobody connects to and that connects to nobody by itself.
pub(crate) async fn open(home: &Home) -> Result<Node, Failure> {
    start(home, None).await
}

/// A node that serves peers at an address.
pub(crate) async fn listen(home: &Home, address: &str) -> Result<Node, Failure> {
    start(home, Some(address)).await
}

async fn start(home: &Home, listen: Option<&str>) -> Result<Node, Failure> {
    let mut builder = Node::builder().data_dir(&home.data);
    if let Some(identity) = &home.identity {
        builder = builder.identity(identity);
    }
    if let Some(address) = listen {
        builder = builder.listen(address);
    }
    builder.start().await.map_err(|error| {
        let failure = Failure::caused("cannot start the node", &error);
        match error.is_in_use() {
            true => failure.because(Reason::InUse),
            false => failure,
        }
    })
}

/// A node whose data directory is to be there already.
pub(crate) async fn existing_node(home: &Home) -> Result<Node, Failure> {
    if !home.data.is_dir() {
        return Err(Failure::failed(format!(
            "there is no data directory {}; check --data, or import something first",
            home.data.display()
        )));
    }
    open(home).await
}

/// The namespaces of these names, which are to be there already; all if none is named.
pub(crate) fn namespaces(
    home: &Home,
    named: &[String],
    node: &Node,
) -> Result<Vec<String>, Failure> {
    let present = node.namespaces();
    match named.iter().find(|name| !present.contains(name)) {
        Some(absent) => Err(no_such_namespace(&home.data, absent, &present)),
        None if named.is_empty() => Ok(present),
        None => Ok(named.to_vec()),
    }
}

/// A namespace that is to be there already: a mistyped name or directory must not make an empty one.
pub(crate) async fn existing(place: &Place) -> Result<(Node, Namespace), Failure> {
    let data = &place.home.data;
    let node = existing_node(&place.home).await?;
    let present = node.namespaces();
    if !present.contains(&place.namespace) {
        return Err(no_such_namespace(data, &place.namespace, &present));
    }
    let namespace = node
        .namespace(&place.namespace)
        .doing(|| "cannot open the namespace".to_owned())?;
    Ok((node, namespace))
}

fn no_such_namespace(data: &Path, wanted: &str, present: &[String]) -> Failure {
    let present = if present.is_empty() {
        "it has none yet".to_owned()
    } else {
        format!("it has {}", present.join(", "))
    };
    let data = data.display();
    Failure::failed(format!(
        "there is no namespace {wanted:?} in {data}; {present}"
    ))
}

/// Ends a node in order, so that everything accepted is on disk.
pub(crate) async fn close(node: Node) -> Result<(), Failure> {
    node.shutdown()
        .await
        .doing(|| "cannot shut the node down".to_owned())
}
