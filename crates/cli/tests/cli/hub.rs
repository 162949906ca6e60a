//! Names on a model hub where a model is asked for.

#[cfg(not(feature = "hub"))]
use crate::common::run;

/// A build without the feature says which one is missing; nothing is looked for on a network.
#[cfg(not(feature = "hub"))]
#[test]
fn a_build_without_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["info", "hf:owner/name"][..], &["sample", "hf:owner/name"], &["import", "hf:owner/name"]] {
        let (status, _, stderr) = run(folder.path(), arguments);
        assert_eq!(status, 2, "{stderr}");
        assert!(stderr.contains("hf:owner/name") && stderr.contains("--features hub"), "{stderr}");
    }
}

#[cfg(feature = "hub")]
mod with {
    use crate::common::scorefield;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::path::{Path, PathBuf};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    const FILES: [&str; 4] =
        ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"];

    /// A hub of one repository: the listing, and files by commit. Answers until the program ends; gives its address.
    fn serve() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let repository = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures/diffusers/class_cond"));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let request = lines.next().unwrap().unwrap();
                while lines.next().is_some_and(|line| line.is_ok_and(|l| !l.is_empty())) {}
                let (method, path) = request.rsplit_once(' ').unwrap().0.split_once(' ').unwrap();
                let file = path.split_once(&format!("/resolve/{COMMIT}/")).map(|(_, file)| file);
                let body = match file {
                    Some(file) => std::fs::read(repository.join(file)).unwrap(),
                    None => {
                        let names = FILES.map(|f| format!("{{\"rfilename\":\"{f}\"}}")).join(",");
                        format!("{{\"sha\":\"{COMMIT}\",\"siblings\":[{names}]}}").into_bytes()
                    }
                };
                // A tag of another length than the two digests': of those files the length alone is compared.
                let place = FILES.iter().position(|f| Some(*f) == file);
                let tag = place.map(|i| format!("ETag: \"{i:032x}\"\r\nX-Repo-Commit: {COMMIT}\r\n"));
                let (length, tag) = (body.len(), tag.unwrap_or_default());
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{tag}Connection: close\r\n\r\n").unwrap();
                if method == "GET" {
                    // The other side may have enough.
                    let _ = stream.write_all(&body);
                }
            }
        });
        address
    }

    /// Status and stderr of a command that is told of a hub and a cache.
    fn told(folder: &Path, hub: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
        let mut command = scorefield(folder, arguments);
        for name in ["HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy"] {
            command.env_remove(name);
        }
        command.env("HF_HOME", folder.join("cache")).envs(hub.iter().copied());
        let output = command.output().unwrap();
        (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
    }

    /// Fetched once, then sampled without any hub; a name that was never fetched is refused offline.
    #[test]
    fn a_name_is_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let (status, stderr) = told(
            folder.path(),
            &[("HF_ENDPOINT", &serve())],
            &["sample", "hf:someone/digits", "-n", "2", "--steps", "3", "-o", "a.npy"],
        );
        assert_eq!(status, 0, "{stderr}");
        let offline = [("HF_HUB_OFFLINE", "1"), ("HF_ENDPOINT", "http://127.0.0.1:1")];
        let (status, stderr) =
            told(folder.path(), &offline, &["sample", "hf:someone/digits", "-n", "2", "--steps", "3", "-o", "b.npy"]);
        assert_eq!(status, 0, "{stderr}");
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read("a.npy"), read("b.npy"));
        let (status, stderr) = told(folder.path(), &offline, &["info", "hf:someone/else"]);
        assert!(status == 1 && stderr.contains("hf:someone/else") && stderr.contains("not in the cache"), "{stderr}");
        let (status, stderr) = told(folder.path(), &offline, &["info", "hf:nobody"]);
        assert!(status == 2 && stderr.contains("hf:OWNER/NAME"), "{stderr}");
    }
}
