//! The server as its user sees it: started, asked for its address and counters, stopped.
//!
//! One thread runs a single-threaded runtime that accepts and answers; file operations go to its pool of
//! blocking threads. Dropping the [`Server`] ends both and cuts what is under way; [`Server::finish`] lets it end first.
//!
//! What a client can hold is bounded: the number of connections, the size of the head of a request and the time that it may take,
//! the time in which nothing of an answer is taken.

use crate::body::Traffic;
use crate::demands::Demands;
use crate::error::{Result, ServeError};
use crate::faults::{Dice, Faults};
use crate::log::Log;
use crate::respond::{Kind, Site, Tree, respond};
use crate::shelf::{Shelf, Source};
use crate::stall::Unstalled;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot, watch};

/// How many connections are open at once: well below the usual limit of 1,024 descriptors, with two for each.
const MAX_CONNECTIONS: u32 = 400;
/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take nothing of what is sent.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How large the head of a request may be.
const MAX_HEAD: usize = 64 * 1024;
/// How many threads open and read files.
const FILE_THREADS: usize = 16;

/// A running server. Dropping it stops it.
#[derive(Debug)]
#[must_use = "a server stops when it is dropped"]
pub struct Server {
    address: SocketAddr,
    traffic: Arc<Traffic>,
    stop: Option<oneshot::Sender<Duration>>,
    thread: Option<JoinHandle<()>>,
}

/// How a directory is served that need not be a repository.
#[derive(Debug, Clone, Default)]
pub struct TreeOptions {
    /// What requests must carry.
    pub demands: Demands,
    /// The faults to make, for tests of clients.
    pub faults: Faults,
    /// Takes a line for each request and one for its outcome.
    pub log: Option<Log>,
}

/// Serves the public files of the repository at `root`; port 0 takes a free one.
///
/// # Errors
/// [`ServeError::Open`] and [`ServeError::NotRepository`] for `root`, [`ServeError::Listen`] for `address`,
/// [`ServeError::Start`] if no thread can be had.
pub fn serve(root: &Path, address: SocketAddr) -> Result<Server> {
    let directory = open_directory(root)?;
    let objects = statat(&directory, "objects", AtFlags::SYMLINK_NOFOLLOW);
    if !objects.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
        return Err(ServeError::NotRepository {
            path: root.to_owned(),
        });
    }
    start(Some(directory), Kind::Repository, address)
}

/// Serves all that everybody may read in the directory at `root`; port 0 takes a free one.
///
/// # Errors
/// [`ServeError::Open`] for `root`, [`ServeError::Listen`] for `address`, [`ServeError::Start`] if no thread can be had.
pub fn serve_tree(root: &Path, address: SocketAddr, options: TreeOptions) -> Result<Server> {
    let tree = Tree {
        demands: options.demands,
        dice: Dice::new(&options.faults),
        log: options.log,
    };
    start(Some(open_directory(root)?), Kind::Tree(tree), address)
}

/// Serves what `source` hands out, below `/<secret>/` and nowhere else; port 0 takes a free one. Whoever does not know the secret
/// is told that nothing is there.
///
/// # Errors
/// [`ServeError::Listen`] for `address`, [`ServeError::Start`] if no thread can be had.
pub fn serve_source(source: Arc<dyn Source>, secret: &str, address: SocketAddr) -> Result<Server> {
    start(None, Kind::Source(Shelf::new(source, secret)), address)
}

fn start(root: Option<OwnedFd>, kind: Kind, address: SocketAddr) -> Result<Server> {
    let traffic = Arc::default();
    let site = Arc::new(Site {
        root,
        kind,
        traffic: Arc::clone(&traffic),
    });
    let listen = |source| ServeError::Listen { address, source };
    let listener = StdListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let start = |source| ServeError::Start { source };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(FILE_THREADS)
        .build()
        .map_err(start)?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener).map_err(listen)?
    };
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("ostler-serve".to_owned())
        .spawn(move || run(runtime, listener, site, stopped))
        .map_err(start)?;
    Ok(Server {
        address,
        traffic,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Server {
    /// Returns the address that is listened at, with the port that was taken.
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address as a URL to pull from, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns how many requests came in so far, refused ones included.
    pub fn requests(&self) -> u64 {
        self.traffic.requests.load(Ordering::Relaxed)
    }

    /// Returns how many bytes of bodies went out so far; heads are not counted.
    pub fn body_bytes(&self) -> u64 {
        self.traffic.body_bytes.load(Ordering::Relaxed)
    }

    /// Returns what tells how much was asked and answered so far, as a number that only grows.
    pub fn movement(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let traffic = Arc::clone(&self.traffic);
        move || {
            let [requests, bytes] =
                [&traffic.requests, &traffic.body_bytes].map(|counter| counter.load(Ordering::Relaxed));
            requests.wrapping_add(bytes)
        }
    }

    /// Stops listening and cuts what is under way.
    pub fn stop(mut self) {
        self.end();
    }

    /// Stops listening and lets the requests that are under way end, for as long as `patience`.
    pub fn finish(mut self, patience: Duration) {
        if let Some(stop) = self.stop.take() {
            // Where nobody listens the thread has ended already.
            let _ended = stop.send(patience);
        }
        self.end();
    }

    fn end(&mut self) {
        // Dropping the sender is a signal too.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has ended the server already: nothing is left to stop.
            drop(thread.join());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn open_directory(root: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, root, flags, Mode::empty()).map_err(|error| ServeError::Open {
        path: root.to_owned(),
        source: error.into(),
    })
}

fn run(runtime: Runtime, listener: TcpListener, site: Arc<Site>, stopped: oneshot::Receiver<Duration>) {
    runtime.block_on(async {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
        let (ending, ended) = watch::channel(());
        let accepting = tokio::spawn(accept(listener, site, Arc::clone(&slots), ended));
        // A dropped sender means to stop at once.
        let patience = stopped.await.unwrap_or_default();
        accepting.abort();
        drop(ending);
        if !patience.is_zero() {
            // Until all slots are free, nobody holds a connection; those that are left after the time are cut.
            let idle = tokio::time::timeout(patience, slots.acquire_many(MAX_CONNECTIONS)).await;
            drop(idle);
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

async fn accept(listener: TcpListener, site: Arc<Site>, slots: Arc<Semaphore>, ended: watch::Receiver<()>) {
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                let ended = ended.clone();
                drop(tokio::spawn(async move {
                    converse(stream, site, ended).await;
                    drop(slot);
                }));
            }
            // Out of descriptors, or a connection that was gone before it was taken: others may follow.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Answers the requests of one connection until either side ends it.
async fn converse(stream: TcpStream, site: Arc<Site>, mut ended: watch::Receiver<()>) {
    // Only a delay is lost if it fails.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(respond(site, request).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Unstalled::new(stream, STALL_TIMEOUT)), service)
    );
    let mut ending = pin!(ended.changed());
    let mut told = false;
    let outcome = poll_fn(|context| {
        // The sender says nothing, and goes when the server ends.
        if !told && ending.as_mut().poll(context).is_ready() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    })
    .await;
    // A broken connection concerns its client alone, who knows.
    drop(outcome);
}
