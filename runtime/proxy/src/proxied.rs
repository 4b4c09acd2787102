//! What a header of the PROXY protocol ahead of a client's bytes says of it (semantics A71).

use crate::proxy_protocol::{PROXIED, SIGNATURE, TCP4, TCP6};
use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// Whom a connection is passed on for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The client.
    pub(crate) source: SocketAddr,
    /// Where it connected to.
    pub(crate) destination: SocketAddr,
}

/// What bytes make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The beginning of a header.
    Partial,
    /// A header of this length. None: the connection is of whoever opened it.
    Whole(usize, Option<Told>),
    /// No header.
    Broken,
}

/// What a header of version 1 begins with.
const WORD: &[u8] = b"PROXY ";

/// Envoy looks no further for the end of a header of version 1.
const LONGEST_LINE: usize = 108;

/// What a header of version 2 has ahead of its addresses.
const HEAD: usize = 16;

/// Version 2, of a connection that whoever opened it has for itself.
const LOCAL: u8 = 0x20;

/// How much more than that of TCP the number of UDP is; Envoy takes both.
const DATAGRAM: u8 = 1;

/// Takes the header from a stream, and not a byte more. None: the connection is of whoever opened it. It takes no more
/// than 64 KiB; how long it may take is the caller's.
///
/// # Errors
///
/// There is none, or it is malformed.
pub(crate) async fn take(stream: &mut TcpStream) -> io::Result<Option<Told>> {
    let mut read = Vec::with_capacity(LONGEST_LINE);
    let mut seen = [0; 512];
    loop {
        let count = stream.peek(&mut seen).await?;
        let more = seen.get(..count).filter(|more| !more.is_empty()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let before = read.len();
        read.extend_from_slice(more);
        let (length, told) = match parse(&read) {
            Progress::Partial => (read.len(), None),
            Progress::Whole(length, told) => (length, Some(told)),
            Progress::Broken => return Err(io::ErrorKind::InvalidData.into()),
        };
        // What was peeked at is there.
        let own = seen.get_mut(..length.saturating_sub(before)).ok_or(io::ErrorKind::InvalidData)?;
        stream.read_exact(own).await?;
        if let Some(told) = told {
            return Ok(told);
        }
    }
}

fn parse(bytes: &[u8]) -> Progress {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(one, other)| one == other);
    if begins(SIGNATURE) {
        return if bytes.len() < HEAD { Progress::Partial } else { binary(bytes) };
    }
    if !begins(WORD) {
        return Progress::Broken;
    }
    let end = bytes.windows(2).position(|two| two == b"\r\n");
    match end.map(|end| (end, end + 2)) {
        Some((end, length)) if length <= LONGEST_LINE => line(bytes.get(..end).unwrap_or_default(), length),
        None if bytes.len() < LONGEST_LINE => Progress::Partial,
        _ => Progress::Broken,
    }
}

/// A line of version 1, without its end; with it, it has this length.
fn line(bytes: &[u8], length: usize) -> Progress {
    let parts: Vec<&str> = std::str::from_utf8(bytes).unwrap_or_default().trim_end().split(' ').collect();
    let (is_wide, [source, destination, from, to]) = match parts[..] {
        ["PROXY", "UNKNOWN", ..] => return Progress::Whole(length, None),
        ["PROXY", "TCP4", source, destination, from, to] => (false, [source, destination, from, to]),
        ["PROXY", "TCP6", source, destination, from, to] => (true, [source, destination, from, to]),
        _ => return Progress::Broken,
    };
    let end = |address: &str, port: &str| {
        let address: IpAddr = address.parse().ok()?;
        (address.is_ipv6() == is_wide && is_of_one(address)).then_some(SocketAddr::new(address, port.parse().ok()?))
    };
    match end(source, from).zip(end(destination, to)) {
        Some((source, destination)) => Progress::Whole(length, Some(Told { source, destination })),
        None => Progress::Broken,
    }
}

/// A header of version 2, of which there is all but perhaps what follows its head.
fn binary(bytes: &[u8]) -> Progress {
    let (Some(&[command, family, high, low]), rest) = (bytes.get(SIGNATURE.len()..HEAD), bytes.get(HEAD..)) else {
        return Progress::Broken;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let is_wide = match (command, family) {
        // Whatever follows means nothing.
        (LOCAL, _) => None,
        (PROXIED, TCP4) => Some(false),
        (PROXIED, TCP6) => Some(true),
        (PROXIED, family) if family == TCP4 + DATAGRAM => Some(false),
        (PROXIED, family) if family == TCP6 + DATAGRAM => Some(true),
        _ => return Progress::Broken,
    };
    let addresses = match is_wide {
        None => 0,
        Some(false) => 12,
        Some(true) => 36,
    };
    if length < addresses {
        return Progress::Broken;
    }
    let Some((rest, whole)) = rest.and_then(|rest| rest.get(..length)).map(|rest| (rest, HEAD + length)) else {
        return Progress::Partial;
    };
    let Some(is_wide) = is_wide else { return Progress::Whole(whole, None) };
    let (addresses, more) = rest.split_at(addresses);
    match told(addresses, is_wide).filter(|_| are_extensions(more)) {
        Some(told) => Progress::Whole(whole, Some(told)),
        None => Progress::Broken,
    }
}

/// Two addresses and two ports.
fn told(mut bytes: &[u8], is_wide: bool) -> Option<Told> {
    let mut address = || {
        let address: IpAddr = if is_wide {
            let (address, rest) = bytes.split_first_chunk::<16>()?;
            bytes = rest;
            Ipv6Addr::from(*address).into()
        } else {
            let (address, rest) = bytes.split_first_chunk::<4>()?;
            bytes = rest;
            IpAddr::from(*address)
        };
        Some(address).filter(|address| is_of_one(*address))
    };
    let (source, destination) = (address()?, address()?);
    let (from, to) = bytes.split_first_chunk::<2>()?;
    let (from, to) = (u16::from_be_bytes(*from), u16::from_be_bytes(*to.first_chunk()?));
    Some(Told { source: SocketAddr::new(source, from), destination: SocketAddr::new(destination, to) })
}

/// Whether an address can be of a connection: one of many cannot.
fn is_of_one(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || is_broadcast)
}

/// Whether what follows the addresses is a list of types, lengths and so many bytes each. Nothing is made of them.
fn are_extensions(mut bytes: &[u8]) -> bool {
    while let Some((_, rest)) = bytes.split_first() {
        let Some((length, rest)) = rest.split_first_chunk::<2>() else { return false };
        let Some(rest) = rest.get(usize::from(u16::from_be_bytes(*length))..) else { return false };
        bytes = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy_protocol::{Header, Version};

    fn ends(source: &str, destination: &str) -> Told {
        Told { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn written(version: Version, told: Told) -> Vec<u8> {
        Header { version, source: told.source, destination: told.destination }.bytes()
    }

    /// A header of version 2 with this command, family and rest.
    fn of(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    #[test]
    fn what_is_written_can_be_read() {
        for (source, destination) in [("10.1.2.3:4000", "127.0.0.1:80"), ("[2001:db8::1]:5", "[::1]:443")] {
            for version in [Version::V1, Version::V2] {
                let told = ends(source, destination);
                let bytes = written(version, told);
                assert_eq!(parse(&bytes), Progress::Whole(bytes.len(), Some(told)));
                let more = [&bytes[..], b"GET / HTTP/1.1\r\n"].concat();
                assert_eq!(parse(&more), Progress::Whole(bytes.len(), Some(told)), "what follows is the client's");
                for length in 0..bytes.len() {
                    assert_eq!(parse(&bytes[..length]), Progress::Partial, "{version:?} {length}");
                }
            }
        }
    }

    #[test]
    fn lines_that_are_none_of_version_1() {
        let whole = |text: &str| parse(text.as_bytes());
        assert_eq!(whole("PROXY UNKNOWN\r\n"), Progress::Whole(15, None));
        assert_eq!(whole("PROXY UNKNOWN a b c d e f\r\n"), Progress::Whole(27, None));
        for broken in [
            "GET / HTTP/1.1\r\n",
            "PROXX",
            "PROXY \r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 3\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 3 4 5\r\n",
            "PROXY  TCP4 1.1.1.1 2.2.2.2 3 4\r\n",
            "PROXY TCP4 ::1 ::2 3 4\r\n",
            "PROXY TCP6 1.1.1.1 2.2.2.2 3 4\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 3 65536\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2 3 4\r\n",
            "PROXY TCP4 0.0.0.0 2.2.2.2 3 4\r\n",
            "PROXY TCP4 1.1.1.1 224.0.0.1 3 4\r\n",
            "PROXY TCP4 255.255.255.255 2.2.2.2 3 4\r\n",
            "PROXY UDP4 1.1.1.1 2.2.2.2 3 4\r\n",
            "\r\n\r\nx",
        ] {
            assert_eq!(whole(broken), Progress::Broken, "{broken:?}");
        }
        let long = "PROXY UNKNOWN ".to_owned() + &"x".repeat(LONGEST_LINE);
        assert_eq!(whole(&long), Progress::Broken);
        assert_eq!(whole(&long[..LONGEST_LINE - 1]), Progress::Partial);
    }

    #[test]
    fn headers_of_version_2() {
        let addresses = [10, 1, 2, 3, 127, 0, 0, 1, 1, 2, 0, 80];
        let told = Some(ends("10.1.2.3:258", "127.0.0.1:80"));
        let with = |more: &[u8]| [&addresses[..], more].concat();
        assert_eq!(parse(&of(PROXIED, TCP4, &with(&[4, 0, 1, 9, 5, 0, 0]))), Progress::Whole(35, told));
        assert_eq!(parse(&of(PROXIED, TCP4 + DATAGRAM, &addresses)), Progress::Whole(28, told));
        assert_eq!(parse(&of(LOCAL, 0, &[])), Progress::Whole(16, None));
        assert_eq!(parse(&of(LOCAL, TCP4, &[1, 2])), Progress::Whole(18, None));
        for broken in [
            of(PROXIED, 0, &addresses),
            of(PROXIED, 0x31, &with(&[0; 204])),
            of(PROXIED, TCP4, &addresses[..11]),
            of(PROXIED, TCP6, &addresses),
            of(PROXIED, TCP4, &with(&[4, 0])),
            of(PROXIED, TCP4, &with(&[4, 0, 2, 9])),
            of(PROXIED, TCP4, &[0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1]),
            of(0x11, TCP4, &addresses),
            of(0x22, TCP4, &addresses),
        ] {
            assert_eq!(parse(&broken), Progress::Broken, "{}", broken.escape_ascii());
        }
    }
}
