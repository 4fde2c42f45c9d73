//! Does a prober tell the truth about servers that behave, and about those that do not?
//!
//! Every server here is a real one on the loopback. Those that misbehave are scripts on a bare socket, so that each
//! fault is provoked by what it is named for.

mod dns;
mod grpc;
mod http1;
mod http2;
mod kit;
mod laws;
mod local;
mod redirects;
mod served;
mod tcp;
mod tls;
