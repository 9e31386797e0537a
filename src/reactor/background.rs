//! A loop on a thread of its own: how a simulator runs inside the process that needs it.

use super::App;
use super::poll_loop::{Options, Remote, run_on};
use std::io;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// A running loop. Dropping it stops the loop at once and waits for the thread.
pub struct Handle {
    remote: Remote,
    thread: Option<JoinHandle<io::Result<u8>>>,
}

/// Starts a loop for `app` on a thread called `name`. It takes no signals of the process,
/// whatever `options` say; [`Handle::stop`] tells it `Signal(Stop)` instead.
pub fn spawn_thread<A: App + Send + 'static>(mut app: A, options: Options, name: &str) -> io::Result<Handle> {
    let (poll, remote) = Remote::new()?;
    let options = Options { signals: false, ..options };
    let inner = remote.clone();
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || run_on(&mut app, options, poll, inner))?;
    Ok(Handle { remote, thread: Some(thread) })
}

impl Handle {
    /// Asks it to stop, as SIGTERM would; asked twice it ends at once. Does not wait.
    pub fn stop(&self) {
        self.remote.stops.fetch_add(1, Ordering::Release);
        // An eventfd that cannot be written means the loop has gone already.
        let _ = self.remote.waker.wake();
    }

    /// Whether the loop has ended.
    pub fn finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end of the loop: its exit status, or why it could not run.
    pub fn join(mut self) -> io::Result<u8> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the loop's thread panicked")),
            None => Err(io::Error::other("the loop was joined before")),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop();
            self.stop();
            let _ = thread.join();
        }
    }
}
