//! Opening ports, and saying it well when one can't be opened.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

/// Connections that may wait to be accepted.
const WAITING_MAX: i32 = 1024;
/// File descriptors that are kept for files, peers and probes.
const FILES_RESERVED: u64 = 256;

/// Listens on `address`; `flag` is where a person can choose another one.
pub fn listen(address: SocketAddr, what: &str, flag: &str) -> Result<TcpListener, String> {
    open(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {} for {what} is in use on {}: stop what uses it, or choose another one with {flag}",
            address.port(),
            address.ip()
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("{} is no address of this machine: choose another one with --bind", address.ip())
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "port {} for {what} may not be opened by this user: choose one with {flag}",
                address.port()
            )
        }
        _ => format!("{address} for {what} can't be listened on: {error}"),
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the last start that still linger must not keep the next one from starting.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING_MAX)?;
    Ok(socket.into())
}

/// The address by which `towards` would see this machine; asks the routing table and sends nothing. Without a hint it is
/// the address of the way out.
pub fn reachable(towards: Option<SocketAddr>, wildcard: IpAddr) -> IpAddr {
    let anywhere = if wildcard.is_ipv6() { "[2001:db8::1]:9" } else { "192.0.2.1:9" };
    let towards = towards.or_else(|| anywhere.parse().ok());
    let route = || -> io::Result<IpAddr> {
        let towards = towards.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let socket = UdpSocket::bind(SocketAddr::new(
            if towards.is_ipv6() { IpAddr::from([0u16; 8]) } else { IpAddr::from([0u8; 4]) },
            0,
        ))?;
        socket.connect(towards)?;
        Ok(socket.local_addr()?.ip().to_canonical())
    };
    route().unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

/// Raises the limit of open files as far as it goes; how many clients fit beside everything else.
pub fn clients_that_fit(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let needed = wanted as u64 + FILES_RESERVED;
    let (Some(current), maximum) = (limit.current, limit.maximum) else { return wanted };
    if current >= needed {
        return wanted;
    }
    let raised = maximum.unwrap_or(needed).min(needed);
    let current = match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        Ok(()) => raised,
        Err(_) => current,
    };
    let fit = usize::try_from(current.saturating_sub(FILES_RESERVED)).unwrap_or(wanted).clamp(1, wanted);
    if fit < wanted {
        tracing::warn!(
            "{wanted} clients are allowed, but the limit of open files ({current}) leaves room for {fit}: raise it with \
             ulimit -n"
        );
    }
    fit
}
