//! The threads that serve connections, each with a runtime of its own: what one delivery wakes stays on its thread.
//! Used by `server`, which hands over every connection that it has accepted.

use crate::telemetry::logs;
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// All threads. Those that were started here end with it, and with them what they still serve.
pub(super) struct Threads {
    /// The thread that accepts connections, watches the cluster and writes: one connection alone wakes no other thread.
    own: Arc<AtomicUsize>,
    others: Vec<Thread>,
}

struct Thread {
    runtime: Handle,
    /// Connections that it serves.
    serves: Arc<AtomicUsize>,
    /// Tells the thread to end by being dropped.
    _end: oneshot::Sender<Infallible>,
}

/// One connection of a thread, counted until it is dropped.
struct Served(Arc<AtomicUsize>);

impl Served {
    fn by(thread: &Arc<AtomicUsize>) -> Self {
        thread.fetch_add(1, Ordering::Relaxed);
        Self(thread.clone())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Threads {
    /// `count` threads, the caller's own among them.
    ///
    /// # Errors
    /// The system gives no thread, or no file descriptor for its runtime.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let others = (1..count).map(Thread::start).collect::<io::Result<_>>()?;
        Ok(Self { own: Arc::default(), others })
    }

    /// Serves a connection on the thread that has fewest.
    pub(super) fn serve<F>(&self, stream: TcpStream, serve: impl FnOnce(TcpStream) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let own = self.own.load(Ordering::Relaxed);
        let fewest = self.others.iter().min_by_key(|thread| thread.serves.load(Ordering::Relaxed));
        match fewest.filter(|thread| thread.serves.load(Ordering::Relaxed) < own) {
            None => {
                let served = Served::by(&self.own);
                tokio::spawn(async move {
                    serve(stream).await;
                    drop(served);
                });
            }
            Some(thread) => thread.serve(stream, serve),
        }
    }
}

impl Thread {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().on_thread_park(logs::flush).build()?;
        let (handle, (end, ended)) = (runtime.handle().clone(), oneshot::channel());
        thread::Builder::new().name(format!("connections-{number}")).spawn(move || {
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { runtime: handle, serves: Arc::default(), _end: end })
    }

    fn serve<F>(&self, stream: TcpStream, serve: impl FnOnce(TcpStream) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let served = Served::by(&self.serves);
        // The stream has to leave the runtime that accepted it: there, each of its packets would wake both threads.
        let stream = stream.into_std();
        self.runtime.spawn(async move {
            match stream.and_then(TcpStream::from_std) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(%error, "connection not served"),
            }
            drop(served);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        sync::mpsc,
    };

    #[tokio::test]
    async fn a_connection_goes_to_the_thread_that_has_fewest() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let threads = Threads::start(3).expect("threads");
        let (at, mut ran_at) = mpsc::channel(8);
        let mut clients = Vec::new();
        let connect = async |clients: &mut Vec<TcpStream>| {
            clients.push(TcpStream::connect(address).await.expect("a connection"));
            let (stream, _) = listener.accept().await.expect("the same");
            let at = at.clone();
            threads.serve(stream, move |mut stream| async move {
                let _ = at.send(thread::current().id()).await;
                // Until the client goes.
                let _ = stream.read(&mut [0]).await;
            });
        };
        let mut ids = Vec::new();
        for _ in 0..6 {
            connect(&mut clients).await;
            ids.push(ran_at.recv().await.expect("it runs"));
        }
        assert_eq!(ids[0], thread::current().id(), "one connection wakes no other thread");
        assert_eq!(ids[..3].iter().collect::<HashSet<_>>().len(), 3);
        assert_eq!(ids[..3].iter().collect::<HashSet<_>>(), ids[3..].iter().collect());

        clients[1].shutdown().await.expect("an end");
        while threads.others.iter().all(|thread| thread.serves.load(Ordering::Relaxed) == 2) {
            tokio::task::yield_now().await;
        }
        connect(&mut clients).await;
        assert_eq!(ran_at.recv().await.expect("it runs"), ids[1], "its place is free again");
    }
}
