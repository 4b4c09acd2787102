//! An editor, as far as the server can tell.

use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};
use tempfile::TempDir;

/// The real server, with a directory that is its workspace.
pub(crate) struct Client {
    pub(crate) directory: TempDir,
    server: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What came while something else was waited for.
    waiting: VecDeque<Value>,
    requests: i64,
    versions: i32,
}

impl Client {
    /// Starts the server without a word.
    pub(crate) fn silent(directory: TempDir) -> Client {
        let mut server = Command::new(env!("CARGO_BIN_EXE_malha"))
            .arg("lsp")
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("malha starts");
        let input = server.stdin.take();
        let output = BufReader::new(server.stdout.take().expect("it is piped"));
        Client { directory, server, input, output, waiting: VecDeque::new(), requests: 0, versions: 0 }
    }

    /// Starts the server, and a session in the directory.
    pub(crate) fn new(directory: TempDir) -> Client {
        let mut client = Client::silent(directory);
        let folder = json!([{ "uri": client.uri(""), "name": "mesh" }]);
        let told = client.ask("initialize", json!({ "capabilities": {}, "workspaceFolders": folder }));
        assert_eq!(told["serverInfo"]["name"], "malha");
        client.notify("initialized", json!({}));
        client
    }

    pub(crate) fn uri(&self, name: &str) -> String {
        let directory = self.directory.path().canonicalize().expect("it is there");
        let path = if name.is_empty() { directory } else { directory.join(name) };
        format!("file://{}", path.to_str().expect("UTF-8"))
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.send_together(std::slice::from_ref(message));
    }

    /// Sends messages in one write, so that the server may take them all before it deals with the first.
    pub(crate) fn send_together(&mut self, messages: &[Value]) {
        let mut bytes = Vec::new();
        for message in messages {
            let text = message.to_string();
            bytes.extend(format!("Content-Length: {}\r\n\r\n{text}", text.len()).into_bytes());
        }
        let input = self.input.as_mut().expect("it is open");
        input.write_all(&bytes).and_then(|()| input.flush()).expect("the server reads");
    }

    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        let mut message = json!({ "jsonrpc": "2.0", "method": method });
        message["params"] = params;
        self.send(&message);
    }

    /// The whole answer to a request.
    pub(crate) fn response(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        let mut message = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        message["params"] = params;
        self.send(&message);
        self.wait(|message| message["id"] == id && message.get("method").is_none())
    }

    /// The result of a request.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        let response = self.response(method, params);
        assert!(response.get("error").is_none(), "{response}");
        response["result"].clone()
    }

    /// The first message, of those not looked at yet, that is the one waited for. It must be one that comes: an answer.
    pub(crate) fn wait(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&is_it) {
            return self.waiting.remove(at).expect("it is there");
        }
        loop {
            let message = self.read().expect("the server goes on");
            if is_it(&message) {
                return message;
            }
            self.waiting.push_back(message);
        }
    }

    fn read(&mut self) -> Option<Value> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).expect("the server writes") == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).expect("the whole message");
        Some(serde_json::from_slice(&body).expect("JSON"))
    }

    /// Opens a document with a text that may be another than the file's; tells its findings.
    pub(crate) fn open(&mut self, name: &str, text: &str) -> Vec<Value> {
        self.versions += 1;
        let document = json!({ "uri": self.uri(name), "languageId": "yaml", "version": self.versions, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document }));
        self.findings(name)
    }

    /// Opens a file as it is on the disk.
    pub(crate) fn open_file(&mut self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.directory.path().join(Path::new(name))).expect("it is there");
        self.open(name, &text)
    }

    /// Sends changes, and waits for nothing.
    pub(crate) fn change(&mut self, name: &str, changes: &Value) {
        self.versions += 1;
        let document = json!({ "uri": self.uri(name), "version": self.versions });
        self.notify("textDocument/didChange", json!({ "textDocument": document, "contentChanges": changes }));
    }

    /// Puts another text in the place of a document's; tells its findings.
    pub(crate) fn replace(&mut self, name: &str, text: &str) -> Vec<Value> {
        self.change(name, &json!([{ "text": text }]));
        self.findings(name)
    }

    /// The findings of a file that were published last, now that all that was sent is dealt with.
    pub(crate) fn findings(&mut self, name: &str) -> Vec<Value> {
        let uri = self.uri(name);
        let is_it = |message: &Value| {
            message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri.as_str()
        };
        let published = self.told(is_it).unwrap_or_else(|| panic!("nothing is published of {name}"));
        published["params"]["diagnostics"].as_array().expect("a list").clone()
    }

    /// The last message of a kind, once all that was sent is dealt with; it and those before it are then forgotten.
    pub(crate) fn told(&mut self, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
        // What is told without being asked may come after the first answer, but not after a second one.
        for _ in 0..2 {
            self.response("malha/nothing", Value::Null);
        }
        let last = self.waiting.iter().rfind(|message| is_it(message)).cloned();
        self.waiting.retain(|message| !is_it(message));
        last
    }

    /// What is asked about the mark `|` of a text, with which the document is opened or replaced first.
    pub(crate) fn at_mark(&mut self, method: &str, name: &str, marked: &str) -> Value {
        let at = marked.find('|').expect("a mark");
        let text = marked.replacen('|', "", 1);
        self.versions += 1;
        let document = json!({ "uri": self.uri(name), "languageId": "yaml", "version": self.versions, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document }));
        let place = json!({ "textDocument": { "uri": self.uri(name) }, "position": position(&text, at) });
        self.ask(method, place)
    }

    /// Closes the server's input; tells how it ended.
    pub(crate) fn end(mut self) -> i32 {
        drop(self.input.take());
        while self.read().is_some() {}
        self.server.wait().expect("it ends").code().expect("it is not killed")
    }
}

/// The position of a byte, as the protocol counts.
pub(crate) fn position(text: &str, at: usize) -> Value {
    let before = &text[..at];
    let line = before.matches('\n').count();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    json!({ "line": line, "character": before[start..].encode_utf16().count() })
}

/// The code of each finding.
pub(crate) fn codes(findings: &[Value]) -> Vec<&str> {
    findings.iter().map(|finding| finding["code"].as_str().expect("a code")).collect()
}
