//! The server as its user sees it: started, asked for its address and counters, stopped.
//!
//! One thread runs a single-threaded runtime that accepts and answers; file operations go to its pool of
//! blocking threads. Dropping the [`Server`] ends both and cuts what is under way.

use crate::body::Traffic;
use crate::error::{Result, ServeError};
use crate::respond::{Site, respond};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};

/// How many connections are open at once: well below the usual limit of 1,024 descriptors, with two for each.
const MAX_CONNECTIONS: usize = 400;
/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How many threads open and read files.
const FILE_THREADS: usize = 16;

/// A running server. Dropping it stops it.
#[derive(Debug)]
#[must_use = "a server stops when it is dropped"]
pub struct Server {
    address: SocketAddr,
    traffic: Arc<Traffic>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Serves the public files of the repository at `root`; port 0 takes a free one.
///
/// # Errors
/// [`ServeError::Open`] and [`ServeError::NotRepository`] for `root`, [`ServeError::Listen`] for `address`,
/// [`ServeError::Start`] if no thread can be had.
pub fn serve(root: &Path, address: SocketAddr) -> Result<Server> {
    let site = open_site(root)?;
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
    let traffic = Arc::clone(&site.traffic);
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

    /// Stops listening and cuts what is under way.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Dropping the sender is the signal.
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

fn open_site(root: &Path) -> Result<Arc<Site>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, root, flags, Mode::empty()).map_err(|error| ServeError::Open {
        path: root.to_owned(),
        source: error.into(),
    })?;
    let objects = statat(&directory, "objects", AtFlags::SYMLINK_NOFOLLOW);
    if !objects.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
        return Err(ServeError::NotRepository {
            path: root.to_owned(),
        });
    }
    Ok(Arc::new(Site {
        root: directory,
        traffic: Arc::default(),
    }))
}

fn run(runtime: Runtime, listener: TcpListener, site: Arc<Site>, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let accepting = tokio::spawn(accept(listener, site));
        // Either way the server is to stop: a message and a dropped sender mean the same.
        drop(stopped.await);
        accepting.abort();
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

async fn accept(listener: TcpListener, site: Arc<Site>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                drop(tokio::spawn(async move {
                    converse(stream, site).await;
                    drop(slot);
                }));
            }
            // Out of descriptors, or a connection that was gone before it was taken: others may follow.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Answers the requests of one connection until either side ends it.
async fn converse(stream: TcpStream, site: Arc<Site>) {
    // Only a delay is lost if it fails.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(respond(site, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // A broken connection concerns its client alone, who knows.
    drop(connection.await);
}
