//! Checkpoints from a model hub.
//!
//! Trained networks are published in repositories on the Hugging Face hub. [`fetch`] takes a name such as `hf:google/ddpm-cifar10-32`,
//! brings exactly the files that a checkpoint needs into the cache that all programs of that hub share, and gives the local folder; a name
//! with a path in it, `hf:owner/name/sub/model.ckpt`, gives that one file. What is in the files is not known here.
//!
//! **Offline once cached.** A branch is looked up once: its commit is written down, and from then on a name whose files are all there is
//! answered without any request, until [`Options::refresh`] asks to look again.
//!
//! **Whole or absent.** A transfer goes to `blobs/DIGEST.incomplete`, under a lock; it goes on from there when it was cut, in the same call
//! or in a later one. Only when length and digest (SHA-256, or git's SHA-1 for small files) are those that the hub announced is it flushed to
//! disk and renamed to `blobs/DIGEST`, to which the names in `snapshots/COMMIT/` are links.
//!
//! **A server is trusted in nothing.** Names of files must be relative and without `..`; bodies are read up to the announced length, and
//! that is bounded by [`Limits`]; redirects are counted, never lead from https to http, and the token goes to the hub's own address only.
//!
//! **The protocol.** `GET {endpoint}/api/models/{repo}/revision/{rev}` lists a repository as JSON and names its commit (`sha`, `siblings`).
//! `{endpoint}/{repo}/resolve/{commit}/{file}` is a file: `HEAD` tells its digest (`X-Linked-Etag`, else `ETag`) and length
//! (`X-Linked-Size`, else `Content-Length`), `GET` answers it or redirects to where its bytes are, ranges included.
//!
//! **Why not the crate `hf-hub`.** Its version 1.0.0 (2026) begins every cut transfer anew (it truncates the `.incomplete` file), compares
//! neither length nor digest, takes a length of 0 where the server names none, does not bound a body, and reads the environment from within.
//! It brings 236 crates, an asynchronous runtime, the hub's storage client and a C library among them. The last version of its blocking
//! kind (0.5) resumes, but panics on some redirects and compares no digest. Here `ureq` speaks HTTP (14 crates, rustls with built-in
//! certificates); the cache is laid out alike, so that Python's `huggingface_hub` finds what was fetched here, and the reverse.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use scorefield_hub::{HubName, Options, fetch};
//!
//! let options = Options::from_variables(|name| std::env::var_os(name))?;
//! let name: HubName = "hf:google/ddpm-cifar10-32".parse()?;
//! let folder = fetch(&name, &options, &mut |_file: &str, done: u64, total: u64| assert!(done <= total))?;
//! assert!(folder.join("config.json").exists());
//! # Ok(())
//! # }
//! ```

mod cache;
mod digest;
mod download;
mod error;
mod fetch;
mod http;
mod info;
mod name;
mod options;
mod plan;
mod progress;
mod url;

pub use error::{Fault, HubError};
pub use fetch::fetch;
pub use name::HubName;
pub use options::{Limits, Options};
pub use progress::Progress;
