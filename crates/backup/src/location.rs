//! From what an operator names to an object store.

use std::path::Path as FilePath;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use url::Url;

use crate::BackupError;

/// A store, and the folder in it. A directory is made if need be, unless it is to be there already.
pub(crate) fn open(
    location: &str,
    existing: bool,
) -> Result<(Arc<dyn ObjectStore>, Path), BackupError> {
    let unusable = |reason: String| BackupError::Location {
        location: location.to_owned(),
        reason,
    };
    match Url::parse(location) {
        Ok(url) if url.scheme() == "file" => {
            let path = url.to_file_path();
            let path = path.map_err(|()| unusable("it is not of this machine".to_owned()))?;
            directory(&path, existing).map_err(unusable)
        }
        // A letter and a colon are a drive.
        Ok(url) if url.scheme().len() > 1 => in_cloud(&url).map_err(unusable),
        _ => directory(FilePath::new(location), existing).map_err(unusable),
    }
}

fn directory(path: &FilePath, existing: bool) -> Result<(Arc<dyn ObjectStore>, Path), String> {
    if existing && !path.is_dir() {
        return Err("there is no such directory".to_owned());
    }
    std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
    let store = LocalFileSystem::new_with_prefix(path).map_err(|error| error.to_string())?;
    // A backup that was reported survives a power loss.
    Ok((Arc::new(store.with_fsync(true)), Path::default()))
}

#[cfg(feature = "cloud")]
fn in_cloud(url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), String> {
    // Without one that was chosen, building a client would panic. An error says that there is one already.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let settings = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let is_its = ["AWS_", "GOOGLE_", "AZURE_"]
            .iter()
            .any(|its| name.starts_with(its));
        is_its.then_some((name.to_ascii_lowercase(), value.into_string().ok()?))
    });
    let (store, path) =
        object_store::parse_url_opts(url, settings).map_err(|error| error.to_string())?;
    Ok((Arc::from(store), path))
}

#[cfg(not(feature = "cloud"))]
fn in_cloud(_url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), String> {
    Err("this build knows directories only".to_owned())
}
