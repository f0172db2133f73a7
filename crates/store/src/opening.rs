//! From what an engine holds to a store's head: identity, format, context, sketch, how far the
//! removal log reaches, and carriers.

use std::ops::Bound;
use std::sync::Arc;

use syncline_crdt::{CarrierId, Context};
use syncline_merkle::DigestKey;
use syncline_merkle::sketch::SketchKey;

use crate::carriers::{self, Carriers};
use crate::engine::{Batch, Durability, Engine, Snapshot, Table};
use crate::format::{self, DepartureState, FORMAT, State, meta};
use crate::seal::Seal;
use crate::sketch::Sketch;
use crate::store::Head;
use crate::watch::openings::{Opening, Openings};
use crate::{Config, OpenError, counted, due, removals};

/// The head of the store in an engine; an empty engine becomes a new store, and one of an older
/// format a store of this one. Beside it, the openings that are remembered.
pub(crate) fn open(
    engine: &impl Engine,
    digest_key: &DigestKey,
    sketch_key: &SketchKey,
    config: &Config,
) -> Result<(Head, Vec<Opening>, Carriers, Seal), OpenError> {
    let namespace = &config.namespace;
    let mint = || {
        let environment = &config.environment;
        CarrierId::mint(environment.wall_ms(), environment.entropy())
    };
    let snapshot = engine.snapshot()?;
    let Some(format) = snapshot.get(Table::Meta, meta::FORMAT)? else {
        refuse_content_without_format(&snapshot)?;
        let mut seal = Seal::read(&snapshot, &config.secret)?;
        drop(snapshot);
        let carrier = mint();
        initialise(engine, digest_key, namespace, carrier, &mut seal)?;
        let head = Head {
            state: State::default(),
            context: Arc::default(),
            sketch: Arc::new(Sketch::empty()),
            missing: Arc::default(),
            sketch_testifies: true,
            withdrawals: 0,
            departures: DepartureState::default(),
        };
        return Ok((head, Vec::new(), Carriers::alone(carrier), seal));
    };
    let format = check_identity(&snapshot, &format, digest_key, namespace)?;
    if let Some(key) = snapshot.get(Table::Meta, meta::CONDEMNED)? {
        return Err(OpenError::Irreparable {
            namespace: namespace.into(),
            key,
        });
    }
    let mut seal = Seal::read(&snapshot, &config.secret)?;
    let state = read_state(&snapshot, format, &seal)?;
    let context = read_context(&snapshot)?;
    let (departures, past) = read_past(&snapshot, format, &state)?;
    let mut batch = Batch::new();
    if format != FORMAT {
        batch.put(Table::Meta, meta::FORMAT, &FORMAT.to_be_bytes());
        let key = [format::DEPARTURES];
        batch.put(Table::Removals, &key, &departures.to_bytes());
    }
    let carriers = match format {
        3.. => Carriers::read(&snapshot)?,
        _ => {
            let carrier = mint();
            carriers::write_new(carrier, &mut batch);
            due::list_all(&snapshot, digest_key, &mut batch)?;
            Carriers::alone(carrier)
        }
    };
    if format < 5 {
        counted::list_all(&snapshot, digest_key, &mut batch)?;
    }
    let sketch = Sketch::read(&snapshot, sketch_key)?.filter(|_| format > 1);
    let sketch_testifies = sketch.is_some();
    let sketch = match sketch {
        Some(sketch) => sketch,
        None => {
            tracing::warn!(namespace, format, "the sketch is made from the dot index");
            let index = Sketch::of_index(&snapshot, sketch_key)?;
            Sketch::mended(&snapshot, index, &[], state.commits, &mut batch)?
        }
    };
    let missing = match format {
        3.. => removals::read_missing(&snapshot)?,
        2 => removals::read_floors(&snapshot)?,
        // Nothing was logged then.
        _ => None,
    };
    let missing = match missing {
        Some(missing) if format >= 3 => missing,
        known => {
            let missing = known.unwrap_or_else(|| removals::all_up_to_the_last_of(&context));
            removals::rewrite_missing(&snapshot, &missing, &mut batch)?;
            missing
        }
    };
    if !batch.is_empty() {
        drop(snapshot);
        seal.follow(&mut batch, &context);
        let sealed = state.to_sealed(seal.of(&state));
        batch.put(Table::Meta, meta::STATE, &sealed);
        engine.commit(batch, Durability::Durable)?;
    }
    let head = Head {
        state,
        context: Arc::new(context),
        sketch: Arc::new(sketch),
        missing: Arc::new(missing),
        sketch_testifies,
        withdrawals: 0,
        departures,
    };
    Ok((head, past, carriers, seal))
}

/// The format of the store, if it is the one that was asked for.
fn check_identity(
    snapshot: &impl Snapshot,
    format: &[u8],
    digest_key: &DigestKey,
    namespace: &str,
) -> Result<u32, OpenError> {
    let damaged = |what: &str| OpenError::DamagedTables(format!("its {what} cannot be read"));
    let format = format.try_into().map_err(|_| damaged("format version"))?;
    let format = match u32::from_be_bytes(format) {
        known @ 1..=FORMAT => known,
        0 => {
            return Err(OpenError::DamagedTables(
                "there never was a format 0".into(),
            ));
        }
        found => {
            return Err(OpenError::NewerFormat {
                found,
                known: FORMAT,
            });
        }
    };
    let found = snapshot.get(Table::Meta, meta::NAMESPACE)?;
    let found = found.and_then(|name| String::from_utf8(name).ok());
    let found = found.ok_or_else(|| damaged("namespace"))?;
    if found != namespace {
        return Err(OpenError::OtherNamespace {
            found,
            expected: namespace.into(),
        });
    }
    let secret = snapshot.get(Table::Meta, meta::SECRET)?;
    if secret.ok_or_else(|| damaged("fingerprint"))? != digest_key.fingerprint() {
        return Err(OpenError::OtherSecret {
            namespace: namespace.into(),
        });
    }
    Ok(format)
}

fn read_state(snapshot: &impl Snapshot, format: u32, seal: &Seal) -> Result<State, OpenError> {
    let damaged = |what: &str| OpenError::DamagedTables(what.into());
    let unreadable = || damaged("its counters cannot be read");
    let bytes = snapshot.get(Table::Meta, meta::STATE)?;
    let bytes = bytes.ok_or_else(unreadable)?;
    if format < 4 {
        return State::from_older(&bytes, format).ok_or_else(unreadable);
    }
    let (state, sealed) = State::from_sealed(&bytes).ok_or_else(unreadable)?;
    if sealed == seal.of(&state) {
        Ok(state)
    } else {
        Err(damaged(
            "its context, counters or carriers are not what was committed",
        ))
    }
}

/// The context as the tables have it.
pub(crate) fn read_context(snapshot: &impl Snapshot) -> Result<Context, OpenError> {
    let mut context = Context::new();
    for interval in snapshot.range(Table::Context, (Bound::Unbounded, Bound::Unbounded)) {
        let (key, end) = interval?;
        format::read_interval(&key, &end, &mut context).ok_or_else(|| {
            OpenError::DamagedTables("its context has intervals that overlap or end early".into())
        })?;
    }
    Ok(context)
}

/// How far the log of departures reaches, and the openings so far. Formats before 3 had neither.
fn read_past(
    snapshot: &impl Snapshot,
    format: u32,
    state: &State,
) -> Result<(DepartureState, Vec<Opening>), OpenError> {
    if format < 3 {
        let departures = DepartureState {
            floor: state.commits,
            bytes: 0,
        };
        return Ok((departures, Vec::new()));
    }
    let damaged = |what: &str| OpenError::DamagedTables(format!("its {what} cannot be read"));
    let departures = match snapshot.get(Table::Removals, &[format::DEPARTURES])? {
        // Whoever watches begins anew, and a scrub takes out what is left over.
        Some(bytes) => DepartureState::from_bytes(&bytes).unwrap_or(DepartureState {
            floor: state.commits,
            bytes: 0,
        }),
        None => DepartureState::default(),
    };
    let past = match snapshot.get(Table::Meta, meta::OPENINGS)? {
        Some(bytes) => Openings::read(&bytes).ok_or_else(|| damaged("list of openings"))?,
        None => Vec::new(),
    };
    Ok((departures, past))
}

/// Tables with content and no format are not a new store.
fn refuse_content_without_format(snapshot: &impl Snapshot) -> Result<(), OpenError> {
    for table in Table::ALL {
        let all = (Bound::Unbounded, Bound::Unbounded);
        if snapshot.range(table, all).next().transpose()?.is_some() {
            return Err(OpenError::DamagedTables(
                "it has content but no format version".into(),
            ));
        }
    }
    Ok(())
}

fn initialise(
    engine: &impl Engine,
    digest_key: &DigestKey,
    namespace: &str,
    carrier: CarrierId,
    seal: &mut Seal,
) -> Result<(), OpenError> {
    let mut batch = Batch::new();
    batch.put(Table::Meta, meta::FORMAT, &FORMAT.to_be_bytes());
    batch.put(Table::Meta, meta::NAMESPACE, namespace.as_bytes());
    batch.put(Table::Meta, meta::SECRET, &digest_key.fingerprint());
    carriers::write_new(carrier, &mut batch);
    seal.follow(&mut batch, &Context::new());
    let state = State::default();
    batch.put(Table::Meta, meta::STATE, &state.to_sealed(seal.of(&state)));
    Ok(engine.commit(batch, Durability::Durable)?)
}
