//! Upstreams that speak no HTTP.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

/// A server that speaks first, then sends back in capitals what it was sent, once that has ended.
pub fn upstream(greeting: &'static str) -> SocketAddr {
    serving(move |mut stream| {
        let mut text = String::new();
        let _ = stream.write_all(greeting.as_bytes());
        if stream.read_to_string(&mut text).is_ok() {
            let _ = stream.write_all(text.to_uppercase().as_bytes());
        }
    })
}

/// A server that does this with each connection.
pub fn serving(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}
