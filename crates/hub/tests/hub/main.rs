//! `fetch` against a server on this machine that speaks the hub's protocol, well or badly.

mod fetch;
mod hostile;
mod server;
