//! A hub of one repository: HTTP/1.1 over `std::net`, one answer a connection, files of its second port's "storage" by redirect.
//!
//! A test may twist any answer before it is sent, and reads afterwards which requests were made.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use scorefield_hub::{HubError, HubName, Options};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";
/// No test reads as much of a body that does not end.
const ENDLESS: usize = 64 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Arrived at the storage's port.
    pub(crate) at_storage: bool,
    headers: BTreeMap<String, String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The method and the path; the range where one is asked for.
    pub(crate) fn line(&self) -> String {
        let range = self.header("range").map(|r| format!(" {r}")).unwrap_or_default();
        format!("{} {}{range}", self.method, self.path)
    }

    pub(crate) fn brings(&self, file: &str) -> bool {
        self.method == "GET" && self.path == format!("/storage/{file}")
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection ends after this many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// The body goes on and on.
    pub(crate) endless: bool,
    /// Bytes sent in place of everything else.
    pub(crate) raw: Option<Vec<u8>>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { status, headers: vec![("Content-Length", body.len().to_string())], body, ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self.headers.push((name, value.to_string()));
        self
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self
    }
}

type Twist = Box<dyn FnMut(&Request, Reply) -> Reply + Send>;

struct State {
    files: BTreeMap<String, Vec<u8>>,
    commit: String,
    requests: Vec<Request>,
    twist: Twist,
    hub: SocketAddr,
    storage: SocketAddr,
}

/// A running server, with a cache and options that lead to it.
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    addresses: [SocketAddr; 2],
    pub(crate) options: Options,
    folder: tempfile::TempDir,
}

impl Server {
    /// A pipeline as diffusers writes it, with weights of three megabytes and files that nobody needs.
    pub(crate) fn pipeline() -> Self {
        let index = r#"{"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDPMScheduler"]}"#;
        let weights: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        Self::new(&[
            ("README.md", b"words"),
            ("model_index.json", index.as_bytes()),
            ("scheduler/scheduler_config.json", b"{\"a\": 1}"),
            ("unet/config.json", b"{\"b\": 2}"),
            ("unet/diffusion_pytorch_model.bin", b"not wanted"),
            (WEIGHTS, &weights),
        ])
    }

    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (hub, storage) = (listen(), listen());
        let addresses = [&hub, &storage].map(|l| l.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State {
            files: files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect(),
            commit: COMMIT.to_owned(),
            requests: Vec::new(),
            twist: Box::new(|_, reply| reply),
            hub: addresses[0],
            storage: addresses[1],
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = [hub, storage].into_iter().enumerate().map(|(i, listener)| {
            let (state, stop) = (state.clone(), stop.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    // What the other side does with the connection is the test's business.
                    let _ = stream.and_then(|stream| answer(stream, &state, i == 1));
                }
            })
        });
        let threads = threads.collect();
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = Options::new(folder.path().join("hub"));
        options.endpoint = format!("http://{}", addresses[0]);
        options.pause = Duration::from_millis(1);
        options.patience = Duration::from_secs(5);
        options.attempts = 1;
        Self { state, stop, threads, addresses, options, folder }
    }

    pub(crate) fn twist(&self, twist: impl FnMut(&Request, Reply) -> Reply + Send + 'static) {
        self.state.lock().expect("the state").twist = Box::new(twist);
    }

    pub(crate) fn honest(&self) {
        self.twist(|_, reply| reply);
    }

    /// The branch moves on.
    pub(crate) fn set_commit(&self, commit: &str) {
        self.state.lock().expect("the state").commit = commit.to_owned();
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().expect("the state").requests)
    }

    pub(crate) fn bytes(&self, file: &str) -> Vec<u8> {
        self.state.lock().expect("the state").files[file].clone()
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.options.cache.join("models--owner--name")
    }

    /// The name under which a file's bytes are kept.
    pub(crate) fn blob(&self, file: &str) -> PathBuf {
        self.repository().join("blobs").join(tag(file, &self.bytes(file)))
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn fetch(&self, name: &str) -> Result<PathBuf, HubError> {
        scorefield_hub::fetch(&name.parse::<HubName>()?, &self.options, &mut ())
    }

    /// The message of a fetch that has to fail; it begins with the name.
    pub(crate) fn fails(&self, name: &str) -> String {
        let message = self.fetch(name).expect_err("a failure").to_string();
        assert!(message.starts_with(name), "{message}");
        message
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for address in self.addresses {
            let _ = TcpStream::connect(address);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn large(file: &str) -> bool {
    file.ends_with(".safetensors") || file.ends_with(".bin")
}

/// SHA-256 of weights, git's name of everything else.
fn tag(file: &str, bytes: &[u8]) -> String {
    if large(file) {
        return hex(digest(&SHA256, bytes).as_ref());
    }
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("blob {}\0", bytes.len()).as_bytes());
    context.update(bytes);
    hex(context.finish().as_ref())
}

fn answer(mut stream: TcpStream, state: &Mutex<State>, at_storage: bool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream.try_clone()?.take(1 << 16)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let request = Request { method, path, at_storage, headers };
    let reply = {
        let mut state = state.lock().expect("the state");
        let honest = honest(&state, &request);
        state.requests.push(request.clone());
        (state.twist)(&request, honest)
    };

    if let Some(raw) = reply.raw {
        return stream.write_all(&raw);
    }
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())])?;
        if reply.endless {
            for _ in 0..ENDLESS >> 16 {
                stream.write_all(&[7; 1 << 16])?;
            }
        }
    }
    Ok(())
}

/// What a hub answers.
fn honest(state: &State, request: &Request) -> Reply {
    let resolve = format!("/owner/name/resolve/{}/", state.commit);
    let path = request.path.as_str();
    if let Some(revision) = path.strip_prefix("/api/models/owner/name/revision/") {
        if revision != "main" && revision != "refs%2Fpr%2F3" && revision != state.commit {
            return Reply::new(404, "").with("X-Error-Code", "RevisionNotFound");
        }
        let files: Vec<String> = state.files.keys().map(|file| format!("{{\"rfilename\": {file:?}}}")).collect();
        return Reply::new(200, format!("{{\"sha\": {:?}, \"siblings\": [{}]}}", state.commit, files.join(", ")));
    }
    let Some(file) = path.strip_prefix("/storage/").or_else(|| path.strip_prefix(&resolve)) else {
        return Reply::new(404, "").with("X-Error-Code", "RepoNotFound");
    };
    let Some(bytes) = state.files.get(file) else {
        return Reply::new(404, "").with("X-Error-Code", "EntryNotFound");
    };
    let etag = format!("\"{}\"", tag(file, bytes));
    if !request.at_storage && large(file) {
        return Reply::new(302, "elsewhere")
            .with("Location", format!("http://{}/storage/{file}", state.storage))
            .with("X-Linked-Etag", etag)
            .with("X-Linked-Size", bytes.len())
            .with("X-Repo-Commit", &state.commit);
    }
    assert_eq!(request.header("host"), Some(if request.at_storage { state.storage } else { state.hub }.to_string().as_str()));
    let from = request.header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let reply = match from {
        Some(from) if from >= bytes.len() => Reply::new(416, ""),
        Some(from) => {
            Reply::new(206, &bytes[from..]).with("Content-Range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()))
        }
        None => Reply::new(200, bytes.as_slice()),
    };
    reply.with("ETag", etag).with("X-Repo-Commit", &state.commit)
}
