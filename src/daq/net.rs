//! The thread `daq-net`: takes packets from the socket and hands spectra on.

use super::heaps::{Counters, Heaps, Output, Spectrum};
use super::setup::Setup;
use super::status::Board;
use crate::proto::spead::DATAGRAM_BYTES_MAX;
use crate::sys::udp::{BATCH, Batch, Socket};
use crate::sys::{clock, resolve, sockopt};
use crate::units::{Mono, Utc};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Receive buffer asked for, bytes.
const RECEIVE_BUFFER: usize = 128 << 20;
/// A buffer below this is worth a warning, bytes (the kernel reports twice what holds data).
const RECEIVE_BUFFER_LOW: usize = 64 << 20;
/// How soon the thread notices that it should end.
const LOOK_MS: u16 = 100;
/// Without a packet for this long the state is `waiting`.
const QUIET: Duration = Duration::from_secs(1);
/// How long packets that wait in the socket are still taken after STOP.
const DRAIN: Duration = Duration::from_millis(500);

/// What goes to the recording thread.
pub enum Item {
    /// The counters restarted; when the packet came.
    Started(Utc),
    /// A spectrum, in order.
    Spectrum(Spectrum),
}

/// Totals of the run, for whoever writes them down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Packets since the observation started.
    pub packets: Counters,
    /// Datagrams the kernel dropped at the socket since it was opened.
    pub kernel_drops: u64,
}

/// What the thread shares with the others.
pub struct Shared {
    /// Set to end the run.
    pub stop: AtomicBool,
    /// Kept up to date by this thread.
    pub totals: Mutex<Totals>,
    /// Where status values are pinned.
    pub board: Arc<Board>,
}

impl Shared {
    /// For a new run.
    pub fn new(board: Arc<Board>) -> Shared {
        Shared { stop: AtomicBool::new(false), totals: Mutex::default(), board }
    }

    /// The totals as they are.
    pub fn totals(&self) -> Totals {
        // The value is copied whole: a panic elsewhere cannot leave half of it.
        *self.totals.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The socket of a run.
///
/// # Errors
/// The source's name is unknown, or the port is taken: with key, value and remedy.
pub fn open(setup: &Setup, bind: Option<IpAddr>) -> Result<Socket, String> {
    let source = setup.datahost.as_deref().map(address_of).transpose()?;
    let local = bind.unwrap_or(match source {
        Some(ip) if ip.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    });
    let socket = Socket::bind(local, setup.dataport).map_err(|e| {
        format!(
            "cannot receive on {local} port {} (DATAPORT): {e}; is another program using it?",
            setup.dataport
        )
    })?;
    match source {
        // Port 0: any port of this host, and no other host.
        Some(ip) => socket.only_from(ip).map_err(|e| format!("cannot receive from DATAHOST {ip}: {e}"))?,
        None => say!("DATAHOST is not set: packets of any host are taken"),
    }
    let granted = sockopt::receive_buffer(&socket, RECEIVE_BUFFER).unwrap_or(0);
    if granted < RECEIVE_BUFFER_LOW {
        say!("receive buffer is {granted} bytes; raise net.core.rmem_max to {RECEIVE_BUFFER}");
    }
    if let Err(e) = sockopt::count_drops(&socket) {
        say!("drops in the kernel are not counted: {e}");
    }
    Ok(socket)
}

fn address_of(host: &str) -> Result<IpAddr, String> {
    let unknown =
        || format!("DATAHOST '{host}' has no IPv4 address; set it to the address the packets come from");
    resolve::ipv4_of(host).map(IpAddr::V4).ok_or_else(unknown)
}

/// The thread's state.
pub struct Net {
    /// Bound and connected.
    pub socket: Socket,
    /// Empty, of the right size.
    pub heaps: Heaps,
    /// Where spectra go; `None` in MONITOR: they are thrown away.
    pub to_disk: Option<SyncSender<Item>>,
    /// Buffers on their way back.
    pub used: Receiver<Vec<u8>>,
    /// When to expect that the counters begin anew: shortly before the commanded start.
    pub start_expected: Option<Utc>,
    /// See [`Shared`].
    pub shared: Arc<Shared>,
}

impl Net {
    /// Runs until told to stop or until nobody takes the spectra any more.
    pub fn run(mut self) {
        self.state("waiting");
        let mut batch = Batch::new(DATAGRAM_BYTES_MAX);
        let mut last_packet: Option<Mono> = None;
        let mut wanted = true;
        while wanted && !self.shared.stop.load(Ordering::Relaxed) {
            self.expect_start();
            let n = self.take(&mut batch, &mut wanted);
            self.note_arrival(n > 0, &mut last_packet);
            if n < BATCH {
                self.wait();
            }
        }
        self.drain(&mut batch, wanted);
        self.state("exiting");
    }

    fn expect_start(&mut self) {
        if self.start_expected.is_some_and(|at| clock::utc() >= at) {
            self.start_expected = None;
            self.heaps.expect_restart();
        }
    }

    /// `receiving` with the first packet, `waiting` after a second without one.
    fn note_arrival(&self, arrived: bool, last_packet: &mut Option<Mono>) {
        let now = clock::mono();
        if arrived {
            let first = last_packet.replace(now).is_none();
            if first {
                self.state("receiving");
            }
        } else if last_packet.is_some_and(|at| now.since(at) > QUIET) {
            *last_packet = None;
            self.state("waiting");
        }
    }

    /// Takes a batch from the socket and hands on what it completes; returns its size.
    fn take(&mut self, batch: &mut Batch, wanted: &mut bool) -> usize {
        // A connected UDP socket also reports ICMP errors: of no concern, the source is the spectrometer.
        let n = batch.receive(&self.socket).unwrap_or(0);
        while let Ok(buffer) = self.used.try_recv() {
            self.heaps.recycle(buffer);
        }
        let mut out = Vec::new();
        for datagram in batch.datagrams() {
            self.heaps.datagram(datagram, &mut out);
        }
        self.publish(batch.kernel_drops());
        *wanted &= self.hand_on(out);
        n
    }

    /// After STOP: what already waits in the socket, then the heaps that are complete.
    fn drain(&mut self, batch: &mut Batch, mut wanted: bool) {
        let deadline = clock::mono() + DRAIN;
        while wanted && clock::mono() < deadline && self.take(batch, &mut wanted) == BATCH {}
        let mut out = Vec::new();
        self.heaps.flush(&mut out);
        self.publish(batch.kernel_drops());
        self.hand_on(out);
    }

    fn wait(&self) {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        // An interrupted wait only ends early.
        let _ = poll(&mut fds, PollTimeout::from(LOOK_MS));
    }

    fn publish(&self, kernel_drops: u32) {
        let totals = Totals { packets: self.heaps.counters(), kernel_drops: u64::from(kernel_drops) };
        *self.shared.totals.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = totals;
    }

    /// False when nobody takes spectra any more.
    fn hand_on(&mut self, out: Vec<Output>) -> bool {
        out.into_iter().all(|output| {
            let item = match output {
                Output::Started => Item::Started(clock::utc()),
                Output::Spectrum(spectrum) => Item::Spectrum(spectrum),
            };
            self.send(item)
        })
    }

    fn send(&mut self, item: Item) -> bool {
        let Some(to_disk) = &self.to_disk else {
            if let Item::Spectrum(spectrum) = item {
                self.heaps.recycle(spectrum.data);
            }
            return true;
        };
        match to_disk.try_send(item) {
            Ok(()) => true,
            Err(TrySendError::Disconnected(_)) => false,
            Err(TrySendError::Full(item)) => {
                // Wait for the recording; meanwhile the socket's own buffer takes the packets.
                self.state("blocked");
                let sent = to_disk.send(item).is_ok();
                self.state("receiving");
                sent
            }
        }
    }

    fn state(&self, text: &str) {
        self.shared.board.pin("NETSTAT", text);
    }
}
