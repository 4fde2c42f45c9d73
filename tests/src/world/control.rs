//! How does somebody outside the process break the world?
//!
//! `GET /region/NL/down`, `/zone/NL/2/down`, `/partner/down`, each also with `up`, and `/public/IE`. Plain HTTP, for
//! trials only.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::World;
use super::port::{Handler, Port};

/// Listens for turns of the world.
///
/// # Errors
/// When the port cannot be had.
pub fn listen(world: Arc<World>, ip: Ipv4Addr, number: u16) -> std::io::Result<Port> {
    let handler: Handler = Arc::new(move |request| {
        let answer = turn(&world, request.uri().path());
        Box::pin(async move { answer })
    });
    Port::open(ip, number, None, handler)
}

fn turn(world: &World, path: &str) -> Response<Full<Bytes>> {
    let parts: Vec<_> = path.split('/').skip(1).collect();
    let up = match parts.last() {
        Some(&"up") => Some(true),
        Some(&"down") => Some(false),
        _ => None,
    };
    let done = match (parts.as_slice(), up) {
        (["region", region, _], Some(up)) => world.set_region(region, up),
        (["zone", region, zone, _], Some(up)) => world.set_zone(region, zone, up),
        (["partner", _], Some(up)) => world.set_partner(up),
        (["public", region], None) => {
            world.fail_over_to(region);
            Ok(())
        }
        (["health"], None) => Ok(()),
        _ => Err(std::io::Error::other("no such turn: /region/NL/down, /zone/NL/2/up, /partner/down, /public/IE")),
    };
    let (status, text) = match done {
        Ok(()) => (StatusCode::OK, "done\n".to_owned()),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer
}
