//! The hello of a TLS client, as far as a filter chain asks for it: for whom it is, and which protocols it offers.
//!
//! It is read here and not by the library that ends TLS, which refuses hellos of TLS 1.0 and 1.1, and others that it could
//! not answer: what is passed on need not be answered here, and Envoy's inspector reads all of them.

/// What a hello says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    /// In lower case, as names are compared.
    pub(crate) server_name: Option<String>,
    /// Protocols offered, best first.
    pub(crate) protocols: Vec<Vec<u8>>,
}

/// What has been read so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More must be seen of it.
    Partial,
    Whole(Hello),
    /// It is none.
    Broken,
}

/// The content type of records of the handshake, by which TLS begins.
pub(crate) const HANDSHAKE: u8 = 0x16;

/// The handshake's first message.
const CLIENT_HELLO: u8 = 1;

/// A record's header: content type, version, and length.
const HEADER: usize = 5;

/// A record is no longer, nor is a hello: its server would take none that is.
const LONGEST_RECORD: usize = 16 * 1024;
const LONGEST_HELLO: usize = 64 * 1024;

/// The oldest version of TLS, as a hello writes it.
const TLS_1_0: u16 = 0x0301;

const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
const PROTOCOLS: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// Reads a hello from records as they come, each byte once.
#[derive(Debug, Default)]
pub(crate) struct HelloReader {
    /// Of the record at hand; whole with as many bytes as it has.
    header: Vec<u8>,
    /// Bytes of the record at hand that are yet to come.
    left: usize,
    /// The handshake's first message, as far as it is there.
    message: Vec<u8>,
}

impl HelloReader {
    /// Takes what came. What follows the hello is left alone.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Progress {
        while !bytes.is_empty() {
            if self.left == 0 {
                let (header, rest) = split(bytes, HEADER - self.header.len());
                self.header.extend_from_slice(header);
                bytes = rest;
                let [kind, major, _, high, low] = *self.header.as_slice() else { continue };
                self.left = usize::from(u16::from_be_bytes([high, low]));
                self.header.clear();
                if kind != HANDSHAKE || major != 3 || self.left == 0 || self.left > LONGEST_RECORD {
                    return Progress::Broken;
                }
                continue;
            }
            let (piece, rest) = split(bytes, self.left);
            self.message.extend_from_slice(piece);
            self.left -= piece.len();
            bytes = rest;
            let [kind, length @ ..] = match *self.message.as_slice() {
                [kind, high, middle, low, ..] => [kind, high, middle, low],
                [kind, ..] => [kind, 0, 0, 0],
                [] => continue,
            };
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            if kind != CLIENT_HELLO || length > LONGEST_HELLO {
                return Progress::Broken;
            }
            if let Some(body) = self.message.get(4..).and_then(|body| body.get(..length)) {
                return hello(body).map_or(Progress::Broken, Progress::Whole);
            }
        }
        Progress::Partial
    }
}

/// The first `length` bytes, or as many as there are, and the rest.
fn split(bytes: &[u8], length: usize) -> (&[u8], &[u8]) {
    bytes.split_at(length.min(bytes.len()))
}

/// The body of the message; none where it is not one.
fn hello(body: &[u8]) -> Option<Hello> {
    let mut body = Fields(body);
    let version = body.number()?;
    body.take(32)?;
    let session = body.short_block()?;
    let suites = body.block()?;
    let compressions = body.short_block()?;
    if session.0.len() > 32 || suites.0.len() < 2 || suites.0.len() % 2 != 0 || compressions.0.is_empty() {
        return None;
    }
    let (mut hello, mut kinds) = (Hello::default(), Vec::new());
    if !body.0.is_empty() {
        let mut extensions = body.block()?;
        while !extensions.0.is_empty() {
            let (kind, extension) = (extensions.number()?, extensions.block()?);
            kinds.push(kind);
            match kind {
                SERVER_NAME => read_server_name(extension, &mut hello.server_name)?,
                PROTOCOLS => hello.protocols = protocols(extension)?,
                _ => {}
            }
        }
    }
    let is_tls = version >= TLS_1_0 || kinds.contains(&SUPPORTED_VERSIONS);
    let all = kinds.len();
    kinds.sort_unstable();
    kinds.dedup();
    (body.0.is_empty() && is_tls && kinds.len() == all).then_some(hello)
}

/// Takes the name of a host, if one is among the names; none where they are not as they should be. What cannot stand in
/// one is replaced, so that logs can tell it; no host of a filter chain has it either.
fn read_server_name(mut extension: Fields<'_>, found: &mut Option<String>) -> Option<()> {
    let mut names = extension.block()?;
    while !names.0.is_empty() {
        if names.byte()? != HOST_NAME {
            // How long a name of another kind is only its kind would say.
            break;
        }
        let name = names.block()?;
        if name.0.is_empty() || name.0.contains(&0) || found.is_some() {
            return None;
        }
        let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let usual = |&byte: &u8| if is_usual(byte) { char::from(byte.to_ascii_lowercase()) } else { '_' };
        *found = Some(name.0.iter().map(usual).collect());
    }
    extension.0.is_empty().then_some(())
}

/// The names of protocols.
fn protocols(mut extension: Fields<'_>) -> Option<Vec<Vec<u8>>> {
    let mut names = extension.block()?;
    let mut protocols = Vec::new();
    while !names.0.is_empty() {
        let name = names.short_block()?;
        if name.0.is_empty() {
            return None;
        }
        protocols.push(name.0.to_vec());
    }
    (extension.0.is_empty() && !protocols.is_empty()).then_some(protocols)
}

/// Bytes that are taken from the front.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u16> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*number))
    }

    /// What is preceded by its length in one byte.
    fn short_block(&mut self) -> Option<Fields<'b>> {
        let length = self.byte()?;
        self.take(length.into()).map(Fields)
    }

    /// What is preceded by its length in two bytes.
    fn block(&mut self) -> Option<Fields<'b>> {
        let length = self.number()?;
        self.take(length.into()).map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{random::Random, tls::PROVIDER};
    use rustls::{
        ClientConfig, ClientConnection, RootCertStore,
        pki_types::ServerName,
        server::Acceptor,
        version::{TLS12, TLS13},
    };
    use std::sync::Arc;

    /// What a client of rustls begins with.
    fn of_rustls(name: &str, is_old: bool, offers: &[&str]) -> Vec<u8> {
        let versions = if is_old { vec![&TLS12] } else { vec![&TLS12, &TLS13] };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER)).with_protocol_versions(&versions);
        let builder = builder.expect("it has suites").with_root_certificates(RootCertStore::empty());
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = offers.iter().map(|offer| offer.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("memory takes it");
        bytes
    }

    fn records(message: &[u8], longest: usize) -> Vec<u8> {
        let record = |piece: &[u8]| {
            let length = u16::try_from(piece.len()).expect("it is short");
            [&[HANDSHAKE, 3, 1][..], &length.to_be_bytes(), piece].concat()
        };
        message.chunks(longest).flat_map(record).collect()
    }

    /// In pieces of so many bytes.
    fn read(bytes: &[u8], piece: usize) -> Progress {
        let mut reader = HelloReader::default();
        let read = bytes.chunks(piece).map(|piece| reader.read(piece));
        read.into_iter().find(|progress| *progress != Progress::Partial).unwrap_or(Progress::Partial)
    }

    /// What rustls makes of it; none: nothing, or not yet.
    fn accepted(mut bytes: &[u8]) -> Option<Hello> {
        let mut acceptor = Acceptor::default();
        while !bytes.is_empty() {
            acceptor.read_tls(&mut bytes).ok().filter(|read| *read > 0)?;
            if let Some(accepted) = acceptor.accept().ok()? {
                let hello = accepted.client_hello();
                let protocols = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
                return Some(Hello { server_name: hello.server_name().map(str::to_ascii_lowercase), protocols });
            }
        }
        None
    }

    #[test]
    fn a_hello_is_read_however_it_is_cut() {
        for (name, is_old, offers) in [
            ("shop.com", true, &["h2", "http/1.1"][..]),
            ("A_b.Shop.com", false, &["istio-peer-exchange"]),
            ("192.0.2.1", false, &[]),
        ] {
            let whole = of_rustls(name, is_old, offers);
            let expected = accepted(&whole).expect("its own");
            assert_eq!(expected.protocols.len(), offers.len());
            for longest in [1, 7, 100, 16 * 1024] {
                let bytes = records(&whole[HEADER..], longest);
                for piece in [1, 3, 1000, usize::MAX] {
                    assert_eq!(read(&bytes, piece), Progress::Whole(expected.clone()), "{name} {longest} {piece}");
                }
                for end in 0..bytes.len() {
                    assert_eq!(read(&bytes[..end], usize::MAX), Progress::Partial, "{end} of {}", bytes.len());
                }
            }
        }
    }

    #[test]
    fn what_rustls_takes_is_read_alike_and_nothing_panics() {
        let random = Random::new(7, 0);
        let below = |bound: usize| usize::try_from(random.below(bound as u64)).expect("it is small");
        let (mut taken, mut refused) = (0, 0);
        for round in 0..6000 {
            let name = ["shop.com", "a.b.c.example", "192.0.2.1"][below(3)];
            let mut message = of_rustls(name, below(2) == 0, [&["h2", "x"][..], &["http/1.1"], &[]][below(3)]);
            message.drain(..HEADER);
            for _ in 0..below(4) {
                let at = below(message.len());
                match below(4) {
                    0 => message[at] = message[at].wrapping_add(1),
                    1 => message[at] = u8::try_from(random.below(256)).expect("a byte"),
                    2 => _ = message.remove(at),
                    _ => message.insert(at, 0),
                }
            }
            let mut bytes = records(&message, [1 + below(300), usize::from(u16::MAX) / 4][below(2)]);
            if below(8) == 0 {
                let at = below(bytes.len());
                bytes[at] ^= 1 << below(8);
            }
            let own = read(&bytes, 1 + below(2000));
            let Some(theirs) = accepted(&bytes) else {
                refused += 1;
                continue;
            };
            taken += 1;
            let Progress::Whole(own) = own else { panic!("round {round}: {own:?} for {theirs:?}: {bytes:02x?}") };
            assert_eq!(own.protocols, theirs.protocols, "round {round}");
            // Of names that are addresses, or no names of hosts at all, it says nothing.
            if theirs.server_name.is_some() {
                assert_eq!(own.server_name, theirs.server_name, "round {round}");
            }
        }
        assert!(taken > 1000 && refused > 1000, "{taken} {refused}");
    }

    #[test]
    fn any_bytes_come_to_an_end() {
        let random = Random::new(8, 0);
        for _ in 0..20_000 {
            let length = usize::try_from(random.below(80)).expect("it is small");
            let mut bytes: Vec<u8> = (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
            for (byte, begins) in bytes.iter_mut().zip([HANDSHAKE, 3, 1, 0, 60, CLIENT_HELLO, 0, 0, 50, 3, 1]) {
                *byte = begins;
            }
            assert!(!matches!(read(&bytes, 5), Progress::Whole(_)), "{bytes:02x?}");
        }
    }

    /// A hello of a version, with these extensions.
    fn hello_of(version: u16, extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let block = |bytes: &[u8]| {
            let length = u16::try_from(bytes.len()).expect("it is short");
            [&length.to_be_bytes()[..], bytes].concat()
        };
        let extensions: Vec<u8> =
            extensions.iter().flat_map(|(kind, bytes)| [&kind.to_be_bytes()[..], &block(bytes)].concat()).collect();
        let tail = if extensions.is_empty() { Vec::new() } else { block(&extensions) };
        let suites = block(&[0x00, 0x2f]);
        let body = [&version.to_be_bytes()[..], &[7; 32], &[0], &suites, &[1, 0], &tail].concat();
        let length = u32::try_from(body.len()).expect("it is short").to_be_bytes();
        records(&[&[CLIENT_HELLO], &length[1..], &body].concat(), usize::from(u16::MAX) / 4)
    }

    #[test]
    fn versions_and_names_are_taken_as_they_come() {
        let name = |name: &[u8]| -> Vec<u8> {
            let length = u8::try_from(name.len()).expect("it is short");
            [&[0, length + 3, HOST_NAME, 0, length], name].concat()
        };
        let whole = |server_name: Option<&str>| {
            Progress::Whole(Hello { server_name: server_name.map(str::to_owned), protocols: Vec::new() })
        };
        let shop = name(b"Shop.com");
        let read = |bytes: &[u8]| super::tests::read(bytes, usize::MAX);
        for version in [0x0301, 0x0302, 0x0303] {
            assert_eq!(read(&hello_of(version, &[(SERVER_NAME, &shop)])), whole(Some("shop.com")), "{version:x}");
            assert_eq!(read(&hello_of(version, &[])), whole(None), "{version:x}");
        }
        assert_eq!(read(&hello_of(0x0300, &[])), Progress::Broken, "SSL 3");
        assert_eq!(read(&hello_of(0x0300, &[(SUPPORTED_VERSIONS, &[2, 3, 4])])), whole(None));
        assert_eq!(read(&hello_of(0x0303, &[(SERVER_NAME, &name(b"a\n\xff\"*.com"))])), whole(Some("a____.com")));
        for broken in [&b""[..], b"a\0b"] {
            assert_eq!(read(&hello_of(0x0303, &[(SERVER_NAME, &name(broken))])), Progress::Broken);
        }
        let twice = [(SERVER_NAME, &shop[..]), (SERVER_NAME, &shop)];
        assert_eq!(read(&hello_of(0x0303, &twice)), Progress::Broken);
        let mut alert = hello_of(0x0303, &[]);
        alert[0] = 0x15;
        assert_eq!(read(&alert), Progress::Broken);
    }
}
