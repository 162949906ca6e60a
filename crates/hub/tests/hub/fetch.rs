//! A good hub: what is fetched, what is not, what a second call costs, and how a cut transfer goes on.

use crate::server::{COMMIT, Reply, Server, WEIGHTS};
use scorefield_hub::{HubName, fetch};
use std::fs;
use std::time::Duration;

const NAME: &str = "hf:owner/name";

/// Exactly the files of the checkpoint, with their bytes; then no request at all.
#[test]
fn a_pipeline_is_fetched_once() {
    let server = Server::pipeline();
    let folder = server.fetch(NAME).expect("a folder");
    assert_eq!(folder, server.repository().join("snapshots").join(COMMIT));
    for file in ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json", WEIGHTS] {
        assert_eq!(fs::read(folder.join(file)).expect(file), server.bytes(file), "{file}");
        assert!(server.blob(file).is_file());
    }
    assert!(!folder.join("README.md").exists() && !folder.join("unet/diffusion_pytorch_model.bin").exists());
    assert_eq!(fs::read_to_string(server.repository().join("refs/main")).expect("a reference"), COMMIT);
    // The list; HEAD and GET of four files; the redirect to the storage.
    let requests = server.requests();
    assert_eq!(requests.len(), 1 + 2 * 4 + 1, "{requests:?}");

    assert_eq!(server.fetch(NAME).expect("the same"), folder);
    assert_eq!(server.fetch(&format!("{NAME}@{COMMIT}")).expect("the same"), folder);
    assert_eq!(server.fetch(&format!("{NAME}/{WEIGHTS}")).expect("the file"), folder.join(WEIGHTS));
    assert!(server.requests().is_empty());
}

/// Links are relative: the cache may be moved.
#[test]
fn a_cache_can_be_moved() {
    let mut server = Server::pipeline();
    server.fetch(NAME).expect("a folder");
    let elsewhere = server.folder().join("elsewhere");
    fs::rename(&server.options.cache, &elsewhere).expect("moved");
    server.options.cache = elsewhere;
    server.requests();
    let folder = server.fetch(NAME).expect("a folder");
    assert_eq!(fs::read(folder.join(WEIGHTS)).expect("weights"), server.bytes(WEIGHTS));
    assert!(server.requests().is_empty());
}

#[test]
fn one_file_of_one_revision() {
    let server = Server::pipeline();
    let path = server.fetch("hf:owner/name@refs/pr/3/README.md").expect("a file");
    assert_eq!(fs::read(&path).expect("words"), b"words");
    let lines: Vec<String> = server.requests().iter().map(|r| r.line()).collect();
    let file = format!("/owner/name/resolve/{COMMIT}/README.md");
    assert_eq!(
        lines,
        ["GET /api/models/owner/name/revision/refs%2Fpr%2F3".to_owned(), format!("HEAD {file}"), format!("GET {file}")]
    );
    assert_eq!(fs::read_to_string(server.repository().join("refs/refs/pr/3")).expect("a reference"), COMMIT);

    let message = server.fails("hf:owner/name/unet");
    assert!(message.contains("no unet") && message.contains("unet/config.json"), "{message}");
    let message = server.fails("hf:owner/name@v9");
    assert!(message.contains("404") && message.contains("no such repository or revision"), "{message}");
    assert!(server.fails("hf:owner/other").contains("no such repository"));
}

/// The transfer ends in the middle: what came is kept under no final name, and the next call asks for the rest alone.
#[test]
fn a_cut_transfer_goes_on_in_the_next_call() {
    let server = Server::pipeline();
    server.twist(|request, reply| if request.brings(WEIGHTS) { Reply { cut: Some(1_000_000), ..reply } } else { reply });
    let message = server.fails(NAME);
    assert!(message.contains(WEIGHTS) && message.contains("call again"), "{message}");
    let incomplete = server.blob(WEIGHTS).with_extension("incomplete");
    assert_eq!(fs::metadata(&incomplete).expect("a part").len(), 1_000_000);
    let weights = server.repository().join("snapshots").join(COMMIT).join(WEIGHTS);
    assert!(!server.blob(WEIGHTS).exists() && !weights.exists());

    server.honest();
    server.requests();
    let mut told = Vec::new();
    let name: HubName = NAME.parse().expect("a name");
    fetch(&name, &server.options, &mut |file: &str, done: u64, total: u64| told.push((file.to_owned(), done, total)))
        .expect("a folder");
    assert_eq!(fs::read(&weights).expect("weights"), server.bytes(WEIGHTS));
    assert!(!incomplete.exists());
    let brought: Vec<String> = server.requests().iter().filter(|r| r.brings(WEIGHTS)).map(|r| r.line()).collect();
    assert_eq!(brought, [format!("GET /storage/{WEIGHTS} bytes=1000000-")]);
    assert_eq!(told[0], (WEIGHTS.to_owned(), 1_000_000, 3_000_000));
    assert_eq!(told[told.len() - 1], (WEIGHTS.to_owned(), 3_000_000, 3_000_000));
    assert!(told.windows(2).all(|w| w[0].1 < w[1].1));
}

/// Every request is cut after half a megabyte; with patience the call comes to its end, each part asked for once.
#[test]
fn a_cut_transfer_goes_on_in_the_same_call() {
    let mut server = Server::pipeline();
    server.options.attempts = 8;
    server.twist(|request, reply| {
        let cut = Some(500_000.min(reply.body.len()));
        if request.brings(WEIGHTS) { Reply { cut, ..reply } } else { reply }
    });
    let folder = server.fetch(NAME).expect("a folder");
    assert_eq!(fs::read(folder.join(WEIGHTS)).expect("weights"), server.bytes(WEIGHTS));
    let ranges: Vec<String> =
        server.requests().iter().filter(|r| r.brings(WEIGHTS)).map(|r| r.header("range").unwrap_or("all").to_owned()).collect();
    assert_eq!(ranges, ["all", "bytes=500000-", "bytes=1000000-", "bytes=1500000-", "bytes=2000000-", "bytes=2500000-"]);
}

/// A server that cannot go on in the middle sends everything, and everything is taken from the beginning.
#[test]
fn a_server_without_ranges() {
    let server = Server::pipeline();
    let whole = server.bytes(WEIGHTS);
    fs::create_dir_all(server.repository().join("blobs")).expect("a folder");
    fs::write(server.blob(WEIGHTS).with_extension("incomplete"), &whole[..77]).expect("a part");
    let sent = whole.clone();
    server.twist(move |request, reply| if request.brings(WEIGHTS) { Reply::new(200, sent.as_slice()) } else { reply });
    let folder = server.fetch(NAME).expect("a folder");
    assert_eq!(fs::read(folder.join(WEIGHTS)).expect("weights"), whole);
}

/// Errors of the moment are tried again, here twice.
#[test]
fn a_busy_server_is_asked_again() {
    let mut server = Server::pipeline();
    server.options.attempts = 3;
    let mut left = 2;
    server.twist(move |_, reply| {
        left -= i32::from(left > 0);
        if left > 0 { Reply::new(503, "") } else { reply }
    });
    server.fetch(NAME).expect("a folder");
    server.twist(|_, _| Reply::new(503, ""));
    server.options.refresh = true;
    server.requests();
    assert!(server.fails(NAME).contains("503"));
    assert_eq!(server.requests().len(), 3);
}

/// Without the hub: what is there works, what is not says so and what to do.
#[test]
fn offline() {
    let mut server = Server::pipeline();
    server.options.offline = true;
    let message = server.fails(NAME);
    for word in ["not in the cache", "HF_HUB_OFFLINE", "models--owner--name", "\"main\""] {
        assert!(message.contains(word), "{message}");
    }
    assert!(server.requests().is_empty());

    // The port of a server that is gone: nobody answers.
    server.options.offline = false;
    let endpoint = std::mem::replace(&mut server.options.endpoint, "http://127.0.0.1:1".to_owned());
    let message = server.fails(NAME);
    assert!(message.contains("cannot be reached") && message.contains("check the network"), "{message}");

    server.options.endpoint = endpoint;
    let folder = server.fetch(NAME).expect("a folder");
    server.options.endpoint = "http://127.0.0.1:1".to_owned();
    assert_eq!(server.fetch(NAME).expect("cached"), folder);
    server.options.offline = true;
    server.options.refresh = true;
    assert_eq!(server.fetch(NAME).expect("cached"), folder);

    // A part is gone: it is named.
    fs::remove_file(folder.join("unet/config.json")).expect("removed");
    let message = server.fails(NAME);
    assert!(message.contains("unet/config.json") && message.contains("not in the cache"), "{message}");
    assert!(server.fails("hf:owner/name/README.md").contains("README.md is not in the cache"));
}

/// A branch stays where it was found until somebody asks; blobs that did not change are not brought again.
#[test]
fn a_branch_moves_when_asked() {
    const NEXT: &str = "fedcba9876543210fedcba9876543210fedcba98";
    let mut server = Server::pipeline();
    let first = server.fetch(NAME).expect("a folder");
    server.set_commit(NEXT);
    assert_eq!(server.fetch(NAME).expect("a folder"), first);
    server.requests();
    server.options.refresh = true;
    let second = server.fetch(NAME).expect("a folder");
    assert!(second.ends_with(NEXT) && first.join(WEIGHTS).is_file());
    assert!(server.requests().iter().all(|r| r.method == "HEAD" || r.path.starts_with("/api/")));
}

/// The token is shown to the hub, not to the storage, and in no message.
#[test]
fn gated() {
    let mut server = Server::pipeline();
    server.twist(|request, reply| match request.header("authorization") {
        Some("Bearer hf_good") => reply,
        None if request.at_storage => reply,
        _ if request.at_storage => Reply::new(400, "two signatures"),
        None => Reply::new(401, "").with("X-Error-Code", "GatedRepo"),
        Some(_) => Reply::new(403, ""),
    });
    let message = server.fails(NAME);
    for word in ["401", "GatedRepo", "HF_TOKEN", "/owner/name"] {
        assert!(message.contains(word), "{message}");
    }
    server.options.token = Some("hf_bad".to_owned());
    let message = server.fails(NAME);
    assert!(message.contains("403") && message.contains("accept its terms") && !message.contains("hf_bad"), "{message}");
    server.options.token = Some("hf_good".to_owned());
    server.fetch(NAME).expect("a folder");
    assert!(server.requests().iter().filter(|r| r.at_storage).all(|r| r.header("authorization").is_none()));
}

/// Two calls at once bring every blob once.
#[test]
fn two_at_once() {
    let server = Server::pipeline();
    std::thread::scope(|scope| {
        let calls = [(); 2].map(|()| scope.spawn(|| server.fetch(NAME).expect("a folder")));
        let [a, b] = calls.map(|call| call.join().expect("no panic"));
        assert_eq!(a, b);
        assert_eq!(fs::read(a.join(WEIGHTS)).expect("weights"), server.bytes(WEIGHTS));
    });
    assert_eq!(server.requests().iter().filter(|r| r.brings(WEIGHTS)).count(), 1);
}

/// A server that stops talking is given up.
#[test]
fn silence_ends() {
    let mut server = Server::pipeline();
    server.options.patience = Duration::from_millis(100);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    server.options.endpoint = format!("http://{}", silent.local_addr().expect("an address"));
    let start = std::time::Instant::now();
    assert!(server.fails(NAME).contains("cannot be reached"));
    assert!(start.elapsed() < Duration::from_secs(5));
}
