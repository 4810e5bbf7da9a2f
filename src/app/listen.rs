//! The sockets that are listened at: by default for both IP families, whichever of them the node has.
//! Used by `app` for the receiver and for health and metrics.

use crate::config::Listen;
use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::net::TcpListener;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Takes the address, before anything else starts: a port that is taken is told at once.
pub(super) fn listen(variable: &str, listen: Listen) -> anyhow::Result<TcpListener> {
    let (address, listener) = match listen {
        Listen::At(address) => (address, at(address)),
        Listen::Anywhere(port) => ((Ipv6Addr::UNSPECIFIED, port).into(), anywhere(port, at)),
    };
    listener.with_context(|| format!("{variable}: can't listen at {address}"))
}

/// At both families, or at IPv4 alone where there is no IPv6.
fn anywhere<T>(port: u16, at: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    at((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| {
        // Whoever has the port may have it at one family alone: half a server would hide that.
        if error.kind() == io::ErrorKind::AddrInUse {
            return Err(error);
        }
        // What went wrong first says more.
        let Ok(listener) = at((Ipv4Addr::UNSPECIFIED, port).into()) else { return Err(error) };
        tracing::info!(%error, "no IPv6 here: listening at IPv4 alone");
        Ok(listener)
    })
}

fn at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Whatever the node's default is: [::] means both families.
        socket.set_only_v6(false)?;
    }
    // Else a restart would wait for connections that have ended a minute ago.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn by_default_both_families_get_an_answer() {
        let listener = listen("LISTEN", Listen::Anywhere(0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        for address in ["127.0.0.1", "::1"] {
            let address = SocketAddr::new(address.parse().expect("an address"), port);
            // A machine without one of them has nothing to connect to.
            if std::net::TcpListener::bind(SocketAddr::new(address.ip(), 0)).is_ok() {
                TcpStream::connect(address).await.expect("a connection");
            }
        }
    }

    #[test]
    fn without_ipv6_the_default_is_ipv4_and_the_first_error_is_told() {
        let without = |address: SocketAddr| {
            if address.is_ipv4() { Ok(address) } else { Err(io::Error::other("no such family")) }
        };
        assert_eq!(anywhere(1, without).expect("IPv4").to_string(), "0.0.0.0:1");
        let neither = |address: SocketAddr| Err::<(), _>(io::Error::other(address.to_string()));
        assert_eq!(anywhere(1, neither).expect_err("neither").to_string(), "[::]:1");
        let taken = |address: SocketAddr| {
            if address.is_ipv4() { Ok(address) } else { Err(io::ErrorKind::AddrInUse.into()) }
        };
        assert_eq!(anywhere(1, taken).expect_err("taken").kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told_with_its_variable() {
        let taken = listen("LISTEN", Listen::At("127.0.0.1:0".parse().expect("an address"))).expect("a port");
        let address = taken.local_addr().expect("its address");
        let error = listen("LISTEN", Listen::At(address)).expect_err("taken").to_string();
        assert_eq!(error, format!("LISTEN: can't listen at {address}"));
    }
}
