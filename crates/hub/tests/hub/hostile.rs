//! A bad hub: each of its lies is an error with a name, within bounds, and no file gets a final name.

use crate::server::{COMMIT, Reply, Server, WEIGHTS};
use std::fs;
use std::path::Path;

const NAME: &str = "hf:owner/name";

fn listing(files: &[&str]) -> String {
    let files: Vec<_> = files.iter().map(|file| serde_json::json!({ "rfilename": file })).collect();
    serde_json::json!({ "sha": COMMIT, "siblings": files }).to_string()
}

/// Files below a folder, links not followed.
fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.file_type().is_ok_and(|t| t.is_dir()) { files_below(&entry.path()) } else { 1 }).sum()
}

#[test]
fn names_that_lead_out_of_the_folder() {
    let server = Server::pipeline();
    for bad in ["../x", "a/../../x", "/etc/passwd", "a//b", "C:/x", "a\\..\\x", "", ".", "a\u{7}b"] {
        let listed = listing(&["model_index.json", bad]);
        server.twist(
            move |request, reply| if request.path.starts_with("/api/") { Reply::new(200, listed.as_str()) } else { reply },
        );
        let message = server.fails(NAME);
        assert!(message.contains("lists a file") && message.contains("not to be trusted"), "{bad}: {message}");
    }
    assert_eq!(files_below(&server.folder()), 0);
}

/// Tags name files of the cache: they are checked as names are.
#[test]
fn tags_that_lead_out_of_the_folder() {
    let server = Server::pipeline();
    for bad in ["\"../../x\"", "\"/x\"", "\"\"", "\"a.incomplete\""] {
        server.twist(move |request, reply| if request.method == "HEAD" { reply.with("ETag", bad) } else { reply });
        assert!(server.fails(NAME).contains("entity tag"), "{bad}");
    }
}

#[test]
fn lists_that_are_none() {
    let mut server = Server::pipeline();
    server.options.limits.json = 100_000;
    server.options.limits.listed = 50;
    let deep = "[".repeat(90_000);
    let many = listing(&vec!["a"; 51]);
    let long = listing(&[&"a".repeat(100_000)]);
    for (body, word) in [
        ("", "expected JSON"),
        ("<html>", "expected JSON"),
        (deep.as_str(), "expected JSON"),
        ("{\"sha\": 3}", "expected JSON"),
        ("{\"sha\": \"../..\", \"siblings\": []}", "forty hexadecimal digits"),
        ("\u{0}\u{1}", "expected JSON"),
        (many.as_str(), "at most 50"),
        (long.as_str(), "at most 100000"),
    ] {
        let body = body.to_owned();
        server.twist(move |_, _| Reply::new(200, body.as_str()));
        let message = server.fails(NAME);
        assert!(message.contains(word) && message.len() < 1000, "{word}: {message}");
    }
    // A list without an end.
    server.twist(|_, reply| Reply { endless: true, ..reply.without("Content-Length") });
    assert!(server.fails(NAME).contains("at most 100000"));
    // Another commit than the one that was asked for.
    server.twist(|_, _| Reply::new(200, listing(&[]).replace('0', "1")));
    assert!(server.fails(&format!("{NAME}@{COMMIT}")).contains("asked for"));
}

#[test]
fn answers_that_are_not_http() {
    let mut server = Server::pipeline();
    for raw in
        [&b""[..], b"\0\x01\x02", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", &[b'a'; 200_000]]
    {
        server.twist(move |_, reply| Reply { raw: Some(raw.to_vec()), ..reply });
        let message = server.fails(NAME);
        assert!(message.len() < 1000, "{message}");
    }
    // Nor are they TLS, where that is wanted.
    server.options.endpoint = server.options.endpoint.replace("http:", "https:");
    assert!(server.fails(NAME).contains("cannot be reached"));
}

#[test]
fn redirects_that_do_not_end_or_lead_astray() {
    let server = Server::pipeline();
    server.twist(|request, reply| reply.with("Location", &request.path).without("X-Linked-Size").status(307));
    let message = server.fails(NAME);
    assert!(message.contains("redirects") && message.contains("at most 8"), "{message}");
    assert_eq!(server.requests().len(), 9);
    for bad in ["file:///etc/passwd", "ftp://x/y", "", "x y"] {
        server.twist(move |_, reply| reply.with("Location", bad).status(302));
        assert!(server.fails(NAME).contains("a redirect to"), "{bad}");
    }
}

/// Lengths of the announcement, of the answer and of the body, each against the others.
#[test]
fn lengths_that_lie() {
    let mut server = Server::pipeline();
    let tag = server.blob(WEIGHTS);
    type Lie = fn(Reply, bool) -> Reply;
    let cases: [(&str, Lie, &str); 8] = [
        (
            "announced too long",
            |r, head| if head { r.with("X-Linked-Size", 4_000_000) } else { r },
            "3000000 bytes, where 4000000",
        ),
        ("announced too short", |r, head| if head { r.with("X-Linked-Size", 10) } else { r }, "3000000 bytes, where 10"),
        ("no number", |r, head| if head { r.with("X-Linked-Size", "-1") } else { r }, "the length"),
        ("not announced", |r, head| if head { r.without("X-Linked-Size") } else { r }, "the length"),
        ("enormous", |r, head| if head { r.with("X-Linked-Size", u64::MAX) } else { r }, "at most"),
        ("too short for its answer", |r, head| if head { r } else { Reply { cut: Some(10), ..r } }, "cannot be reached"),
        ("endless", |r, head| if head { r } else { Reply { endless: true, ..r.without("Content-Length") } }, "more bytes"),
        (
            "short and silent",
            |r, head| if head { r } else { Reply { cut: Some(10), ..r.without("Content-Length") } },
            "ends after 10",
        ),
    ];
    for (what, lie, word) in cases {
        let _ = fs::remove_file(tag.with_extension("incomplete"));
        server.twist(move |request, reply| {
            let head = request.method == "HEAD";
            if request.brings(WEIGHTS) || head && request.path.ends_with(WEIGHTS) { lie(reply, head) } else { reply }
        });
        let message = server.fails(NAME);
        assert!(message.contains(word) && message.contains(WEIGHTS), "{what}: {message}");
        assert!(!tag.exists(), "{what}");
    }
    server.honest();
    server.options.limits.file = 1000;
    assert!(server.fails(NAME).contains("at most 1000"));
}

/// A part whose rest is of another file, or asked for and answered otherwise.
#[test]
fn ranges_that_lie() {
    let server = Server::pipeline();
    let incomplete = server.blob(WEIGHTS).with_extension("incomplete");
    fs::create_dir_all(server.repository().join("blobs")).expect("a folder");
    let whole = server.bytes(WEIGHTS);
    for range in ["bytes 0-2999999/3000000", "bytes 1000-2999999/5", "bytes */3000000", "x"] {
        fs::write(&incomplete, &whole[..1000]).expect("a part");
        server.twist(move |request, reply| if request.brings(WEIGHTS) { reply.with("Content-Range", range) } else { reply });
        assert!(server.fails(NAME).contains("the range"), "{range}");
    }
    // The part is wrong: found by its digest, deleted, and the next call begins anew.
    server.honest();
    fs::write(&incomplete, [0; 1000]).expect("a part");
    let message = server.fails(NAME);
    assert!(message.contains("digest") && message.contains("call again"), "{message}");
    assert!(!incomplete.exists() && !server.blob(WEIGHTS).exists());
    server.fetch(NAME).expect("a folder");
}

/// Bytes of the right number that are not the announced ones.
#[test]
fn bytes_that_lie() {
    let server = Server::pipeline();
    for file in ["unet/config.json", WEIGHTS] {
        server.twist(move |request, reply| {
            let mut reply = reply;
            if request.method == "GET" && request.path.ends_with(file) && reply.status == 200 {
                reply.body[3] ^= 1;
            }
            reply
        });
        let message = server.fails(NAME);
        assert!(message.contains(file) && message.contains("digest"), "{message}");
        assert!(!server.blob(file).exists());
    }
    server.twist(|_, reply| reply.with("X-Repo-Commit", "1".repeat(40)));
    assert!(server.fails(NAME).contains("commit"));
}

/// The device that is always full stands in for a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let server = Server::pipeline();
    fs::create_dir_all(server.repository().join("blobs")).expect("a folder");
    std::os::unix::fs::symlink("/dev/full", server.blob(WEIGHTS).with_extension("incomplete")).expect("a link");
    let message = server.fails(NAME);
    assert!(message.contains("no space left") && message.contains("make room"), "{message}");
}

#[test]
fn options_that_cannot_be() {
    let mut server = Server::pipeline();
    for bad in ["", "huggingface.co", "ftp://x", "http://", "http://me@x", "http://x/?q"] {
        server.options.endpoint = bad.to_owned();
        assert!(server.fails(NAME).contains("HF_ENDPOINT"), "{bad}");
    }
    server.options.endpoint = "http://127.0.0.1:1".to_owned();
    server.options.token = Some("a\r\nX: secret".to_owned());
    let message = server.fails(NAME);
    assert!(message.contains("HF_TOKEN") && !message.contains("secret"), "{message}");
}
