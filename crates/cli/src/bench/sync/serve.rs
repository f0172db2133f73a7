//! `syncline bench serve`: the other side of `bench sync --peer`.

use std::sync::Arc;

use serde_json::json;
use syncline::trust::Membership;
use syncline_sync::quic::{Endpoint, Limits, NodeId};

use super::side::{self, Side};
use super::{named, named_base, runtime};
use crate::args::BenchServe;
use crate::bench::{copy, scratch};
use crate::failure::{Doing, Failure};

pub(in crate::bench) fn run(arguments: &BenchServe) -> Result<(), Failure> {
    let workload = &arguments.workload;
    let scratch = scratch()?;
    let base = side::base(workload, scratch.path())?;
    let theirs = side::theirs(workload, &base, scratch.path())?;
    let base = Side::open(&copy(&base, scratch.path().join("base.redb"))?, workload)?;
    let member = Membership::load(&arguments.identity)
        .doing(|| format!("cannot use the identity {}", arguments.identity.display()))?;
    runtime()?.block_on(async {
        let serving = || format!("cannot serve at {}", arguments.listen);
        let endpoint = Endpoint::bind(arguments.listen, &member.identity, Limits::default());
        let endpoint = endpoint.doing(serving)?;
        let address = endpoint.local_addr().doing(serving)?;
        let name = named(workload);
        let host = {
            let sides = [(name.clone(), theirs), (named_base(workload), base)];
            move |namespace: &str, _peer: NodeId| {
                let (name, side) = sides.iter().find(|(name, _)| name == namespace)?;
                Some((side.store.clone(), side::config(name)))
            }
        };
        match arguments.json {
            true => println!(
                "{}",
                json!({"listening": address.to_string(), "workload": name})
            ),
            false => println!("serving {name} at {address}; interrupt to end"),
        }
        tokio::select! {
            () = endpoint.serve(Arc::new(host)) => Ok(()),
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.doing(|| "cannot wait for an interrupt".to_owned())
            }
        }
    })
}
