//! The loop, and what each message does.

use super::{
    actions, completion, definition, diagnostics::Published, documents::Documents, fields::Schemas, hover,
    meshes::Meshes, uri,
};
use crate::failure::{Failure, Status};
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionParams, CodeActionProviderCapability, CompletionOptions,
    CompletionParams, DidChangeTextDocumentParams, DidChangeWatchedFilesParams,
    DidChangeWatchedFilesRegistrationOptions, DidChangeWorkspaceFoldersParams, DidCloseTextDocumentParams,
    DidOpenTextDocumentParams, DidSaveTextDocumentParams, FileSystemWatcher, GlobPattern, GotoDefinitionParams,
    HoverParams, HoverProviderCapability, InitializeParams, InitializeResult, MessageType, OneOf, Registration,
    RegistrationParams, ServerCapabilities, ServerInfo, ShowMessageParams, TextDocumentSyncCapability,
    TextDocumentSyncKind, TextDocumentSyncOptions, TextDocumentSyncSaveOptions, WorkspaceFoldersServerCapabilities,
    WorkspaceServerCapabilities,
    notification::{self, Notification as _},
    request::{self, Request as _},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs, io,
    path::PathBuf,
    sync::mpsc::{self, Receiver},
    thread,
};

/// Files whose changes on the disk count, as globs.
const WATCHED: [&str; 2] = ["**/*.{yaml,yml,json}", "**/malha.toml"];

/// Serves the editor at the other end of the standard input and output.
///
/// # Errors
/// What comes in is not the protocol.
pub(crate) fn serve() -> Result<Status, Failure> {
    let (connection, threads) = Connection::stdio();
    let receiver = connection.receiver.clone();
    let (send, messages) = mpsc::channel();
    // Takes messages while a check runs, so that it is seen then what waits.
    thread::spawn(move || {
        for message in receiver {
            if send.send(message).is_err() {
                break;
            }
        }
    });
    let mut server = Server {
        connection,
        state: State::New,
        meshes: Meshes::default(),
        documents: Documents::default(),
        schemas: Schemas::default(),
        published: Published::default(),
        complained: None,
        must_publish: false,
        watches: false,
    };
    let end = server.run(&messages);
    drop(server);
    match end {
        // Nobody reads any more: what the threads of the connection wait for will not come.
        End::Broken => Ok(Status::Findings),
        End::Closed { properly } => {
            match threads.join() {
                // It went without listening to the end.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Status::Findings),
                Err(error) => Err(Failure::new(format!("the editor's messages: {error}"))),
                Ok(()) if properly => Ok(Status::Clean),
                Ok(()) => Ok(Status::Findings),
            }
        }
    }
}

/// How far the session is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Running,
    ShutDown,
}

/// How it ended.
enum End {
    /// By `exit`, or at the end of the input; properly if `shutdown` came before.
    Closed { properly: bool },
    /// The editor does not read any more.
    Broken,
}

struct Server {
    connection: Connection,
    state: State,
    meshes: Meshes,
    documents: Documents,
    schemas: Schemas,
    published: Published,
    /// Why the meshes could not be read, as it was said last.
    complained: Option<String>,
    /// Whether the meshes were brought up to date since findings were published last.
    must_publish: bool,
    /// Whether the editor can be asked to tell of changes on the disk.
    watches: bool,
}

/// The editor is gone.
struct Gone;

impl Server {
    fn run(&mut self, messages: &Receiver<Message>) -> End {
        while let Ok(first) = messages.recv() {
            // All that waits is taken before anything is checked: of ten keystrokes the last one counts.
            let batch: Vec<Message> = std::iter::once(first).chain(messages.try_iter()).collect();
            let cancelled: BTreeSet<RequestId> = batch.iter().filter_map(cancelled).collect();
            for message in batch {
                let taken = match message {
                    Message::Request(request) if cancelled.contains(&request.id) => {
                        let code = ErrorCode::RequestCanceled as i32;
                        self.send(Response::new_err(request.id, code, "it was cancelled".to_owned()))
                    }
                    Message::Request(request) => self.request(request),
                    Message::Notification(notice) if notice.method == notification::Exit::METHOD => {
                        return End::Closed { properly: self.state == State::ShutDown };
                    }
                    Message::Notification(notice) => self.notice(notice),
                    Message::Response(_) => Ok(()),
                };
                if taken.is_err() {
                    return End::Broken;
                }
            }
            if self.state == State::Running && self.refresh().and_then(|()| self.publish()).is_err() {
                return End::Broken;
            }
        }
        End::Closed { properly: self.state == State::ShutDown }
    }

    fn request(&mut self, request: Request) -> Result<(), Gone> {
        let refused = |code: ErrorCode, why: &str| Response::new_err(request.id.clone(), code as i32, why.to_owned());
        match (self.state, request.method.as_str()) {
            (State::New, request::Initialize::METHOD) => self.initialize(request),
            (State::New, _) => self.send(refused(ErrorCode::ServerNotInitialized, "`initialize` comes first")),
            (State::ShutDown, _) => self.send(refused(ErrorCode::InvalidRequest, "after `shutdown` comes `exit`")),
            (State::Running, request::Initialize::METHOD) => {
                self.send(refused(ErrorCode::InvalidRequest, "`initialize` comes once"))
            }
            (State::Running, request::Shutdown::METHOD) => {
                self.state = State::ShutDown;
                self.send(Response::new_ok(request.id, Value::Null))
            }
            (State::Running, request::HoverRequest::METHOD) => self.answer(request, |server, params: HoverParams| {
                let place = &params.text_document_position_params;
                hover::hover(place, &server.meshes, &server.documents, &server.schemas)
            }),
            (State::Running, request::GotoDefinition::METHOD) => {
                self.answer(request, |server, params: GotoDefinitionParams| {
                    let place = &params.text_document_position_params;
                    definition::definition(place, &server.meshes, &server.documents)
                })
            }
            (State::Running, request::CodeActionRequest::METHOD) => self
                .answer(request, |server, params: CodeActionParams| {
                    actions::actions(&params, &server.meshes, &server.documents)
                }),
            (State::Running, request::Completion::METHOD) => {
                self.answer_at_once(request, |server, params: CompletionParams| {
                    let place = &params.text_document_position;
                    completion::completion(place, &server.meshes, &server.documents, &server.schemas)
                })
            }
            (State::Running, method) => {
                let why = format!("`{method}` is not served");
                self.send(refused(ErrorCode::MethodNotFound, &why))
            }
        }
    }

    /// Answers a request about the texts as they are now.
    fn answer<P: DeserializeOwned, R: Serialize>(
        &mut self,
        request: Request,
        answer: impl FnOnce(&Server, P) -> Option<R>,
    ) -> Result<(), Gone> {
        self.refresh()?;
        self.answer_at_once(request, answer)
    }

    /// Answers a request from the texts as they are now, and from what is known of the mesh without a check.
    fn answer_at_once<P: DeserializeOwned, R: Serialize>(
        &mut self,
        request: Request,
        answer: impl FnOnce(&Server, P) -> Option<R>,
    ) -> Result<(), Gone> {
        if self.meshes.iter().next().is_none() {
            self.refresh()?;
        }
        let response = match serde_json::from_value::<P>(request.params) {
            Ok(params) => Response::new_ok(request.id, answer(self, params)),
            Err(error) => Response::new_err(request.id, ErrorCode::InvalidParams as i32, error.to_string()),
        };
        self.send(response)
    }

    fn initialize(&mut self, request: Request) -> Result<(), Gone> {
        let params = match serde_json::from_value::<InitializeParams>(request.params) {
            Ok(params) => params,
            Err(error) => {
                let code = ErrorCode::InvalidParams as i32;
                return self.send(Response::new_err(request.id, code, error.to_string()));
            }
        };
        self.meshes = Meshes::new(folders(&params));
        let watching = params.capabilities.workspace.and_then(|workspace| workspace.did_change_watched_files);
        self.watches = watching.and_then(|watching| watching.dynamic_registration).unwrap_or_default();
        self.state = State::Running;
        let result = InitializeResult {
            capabilities: capabilities(),
            server_info: Some(ServerInfo {
                name: "malha".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        };
        self.send(Response::new_ok(request.id, result))
    }

    fn notice(&mut self, notice: Notification) -> Result<(), Gone> {
        if self.state != State::Running {
            return Ok(());
        }
        match notice.method.as_str() {
            notification::Initialized::METHOD => return self.ask_to_watch(),
            notification::DidOpenTextDocument::METHOD => {
                if let Some(DidOpenTextDocumentParams { text_document }) = params(notice)
                    && let Some(path) = self.documents.open(text_document)
                {
                    self.published.forget(&path);
                    self.meshes.moved(path);
                }
            }
            notification::DidChangeTextDocument::METHOD => {
                if let Some(DidChangeTextDocumentParams { text_document, content_changes }) = params(notice)
                    && let Some(path) = self.documents.change(&text_document, content_changes)
                {
                    self.meshes.edited(path);
                }
            }
            notification::DidCloseTextDocument::METHOD => {
                if let Some(DidCloseTextDocumentParams { text_document }) = params(notice)
                    && let Some(path) = self.documents.close(&text_document.uri)
                {
                    self.meshes.moved(path);
                }
            }
            notification::DidSaveTextDocument::METHOD => {
                if let Some(DidSaveTextDocumentParams { text_document, .. }) = params(notice)
                    && let Some(path) = uri::path(&text_document.uri)
                {
                    self.meshes.moved(path);
                }
            }
            notification::DidChangeWatchedFiles::METHOD => {
                if let Some(DidChangeWatchedFilesParams { changes }) = params(notice) {
                    let changed = changes.iter().filter_map(|change| uri::path(&change.uri));
                    changed.for_each(|path| self.meshes.moved(path));
                }
            }
            notification::DidChangeWorkspaceFolders::METHOD => {
                if let Some(DidChangeWorkspaceFoldersParams { event }) = params(notice) {
                    let directory = |folder: &lsp_types::WorkspaceFolder| directory(&folder.uri);
                    let gone: BTreeSet<PathBuf> = event.removed.iter().filter_map(directory).collect();
                    let kept = self.meshes.folders().iter().filter(|folder| !gone.contains(*folder)).cloned();
                    let folders = kept.chain(event.added.iter().filter_map(directory)).collect();
                    self.meshes.move_to(folders);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Brings the meshes up to date; says why, if that cannot be done.
    fn refresh(&mut self) -> Result<(), Gone> {
        if !self.meshes.is_stale() {
            return Ok(());
        }
        self.must_publish = true;
        let complaint = self.meshes.update(&self.documents).err().map(|failure| failure.to_string());
        let is_new = complaint != self.complained;
        self.complained.clone_from(&complaint);
        match complaint.filter(|_| is_new) {
            Some(message) => self.notify::<notification::ShowMessage>(ShowMessageParams {
                typ: MessageType::ERROR,
                message: format!("malha: {message}"),
            }),
            None => Ok(()),
        }
    }

    /// Tells what is found now: that changes with the files and the texts alone, not with what is asked of them.
    fn publish(&mut self) -> Result<(), Gone> {
        if !std::mem::take(&mut self.must_publish) {
            return Ok(());
        }
        let told = self.published.next(&self.meshes, &self.documents);
        told.into_iter().try_for_each(|one| self.notify::<notification::PublishDiagnostics>(one))
    }

    fn ask_to_watch(&self) -> Result<(), Gone> {
        if !self.watches {
            return Ok(());
        }
        let watchers =
            WATCHED.map(|glob| FileSystemWatcher { glob_pattern: GlobPattern::String(glob.to_owned()), kind: None });
        let options = DidChangeWatchedFilesRegistrationOptions { watchers: watchers.to_vec() };
        let registration = Registration {
            id: "files".to_owned(),
            method: notification::DidChangeWatchedFiles::METHOD.to_owned(),
            register_options: serde_json::to_value(options).ok(),
        };
        let params = RegistrationParams { registrations: vec![registration] };
        // The only request that goes this way: its answer needs no other name.
        let id = RequestId::from("watch".to_owned());
        self.send(Request::new(id, request::RegisterCapability::METHOD.to_owned(), params))
    }

    fn notify<N: notification::Notification>(&self, params: N::Params) -> Result<(), Gone> {
        self.send(Notification::new(N::METHOD.to_owned(), params))
    }

    fn send(&self, message: impl Into<Message>) -> Result<(), Gone> {
        self.connection.sender.send(message.into()).map_err(|_| Gone)
    }
}

/// What a notification says. One that cannot be read has no answer that could say so.
fn params<P: DeserializeOwned>(notice: Notification) -> Option<P> {
    serde_json::from_value(notice.params).ok()
}

/// The request that a message cancels.
fn cancelled(message: &Message) -> Option<RequestId> {
    let Message::Notification(notice) = message else { return None };
    if notice.method != notification::Cancel::METHOD {
        return None;
    }
    serde_json::from_value(notice.params.get("id")?.clone()).ok()
}

/// The directories that the editor works in.
fn folders(params: &InitializeParams) -> Vec<PathBuf> {
    let named = params.workspace_folders.iter().flatten().filter_map(|folder| directory(&folder.uri));
    let mut folders: Vec<PathBuf> = named.collect();
    #[allow(deprecated, reason = "editors that know no folders name a root")]
    if folders.is_empty() {
        folders.extend(params.root_uri.as_ref().and_then(directory));
    }
    folders
}

fn directory(uri: &lsp_types::Uri) -> Option<PathBuf> {
    fs::canonicalize(uri::path(uri)?).ok().filter(|path| path.is_dir())
}

fn capabilities() -> ServerCapabilities {
    ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::Supported(true)),
            ..TextDocumentSyncOptions::default()
        })),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        definition_provider: Some(OneOf::Left(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some([" ", ":", "-", "{", "[", ","].map(str::to_owned).to_vec()),
            ..CompletionOptions::default()
        }),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
            ..CodeActionOptions::default()
        })),
        workspace: Some(WorkspaceServerCapabilities {
            workspace_folders: Some(WorkspaceFoldersServerCapabilities {
                supported: Some(true),
                change_notifications: Some(OneOf::Left(true)),
            }),
            file_operations: None,
        }),
        ..ServerCapabilities::default()
    }
}
