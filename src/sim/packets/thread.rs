//! The thread that sends: paces the generator by the wall clock of the start, obeys start and stop.

use super::{Generator, Options, Start};
use crate::sys::clock;
use crate::sys::udp::Socket;
use crate::units::Utc;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Orders that may wait; the thread takes them within one spectrum.
const ORDERS_MAX: usize = 16;
/// How long an idle thread waits for an order before it looks around again.
const IDLE: Duration = Duration::from_secs(3600);
/// Packets after which a short rest lets the receiver of a burst breathe.
const BURST: usize = 32;

enum Order {
    /// Set up and, with `free_run`, send from now on until the start.
    Start(Start),
    Stop,
}

/// A running packet source; dropping it ends its thread.
pub struct PacketSource {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    options: Options,
}

impl PacketSource {
    /// Starts the thread `sim-packets`; it is quiet until [`start`](Self::start).
    ///
    /// # Panics
    /// When the system has no more threads.
    pub fn spawn(options: Options) -> PacketSource {
        let (orders, inbox) = sync_channel(ORDERS_MAX);
        let own = options.clone();
        let thread = std::thread::Builder::new()
            .name("sim-packets".into())
            .spawn(move || run(&own, &inbox))
            .expect("the system has threads to give");
        PacketSource { orders: Some(orders), thread: Some(thread), options }
    }

    /// Sends a scan from `start.at` on (at once when that has passed), in place of the present one.
    ///
    /// # Errors
    /// What [`Start::check`] says; the thread has ended or does not listen.
    pub fn start(&self, start: Start) -> Result<(), String> {
        start.check(&self.options)?;
        self.order(Order::Start(start))
    }

    /// Ends the scan; the thread stays.
    pub fn stop(&self) {
        // A thread that is gone has stopped.
        let _ = self.order(Order::Stop);
    }

    fn order(&self, order: Order) -> Result<(), String> {
        let orders = self.orders.as_ref().ok_or("the packet source has ended")?;
        orders.try_send(order).map_err(|e| format!("the packet source does not take orders: {e}"))
    }
}

impl Drop for PacketSource {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A scan that is being sent.
struct Scan {
    start: Start,
    socket: Socket,
    generator: Generator,
    period: Duration,
    sent: u32,
}

fn run(options: &Options, inbox: &Receiver<Order>) {
    let mut scan: Option<Scan> = None;
    let mut datagrams = Vec::new();
    loop {
        let wait = scan.as_ref().map_or(IDLE, Scan::until_next);
        match inbox.recv_timeout(wait) {
            Ok(Order::Start(start)) => scan = Scan::open(options, start),
            Ok(Order::Stop) => scan = None,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(scan) = &mut scan {
                    scan.send_next(&mut datagrams);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Scan {
    fn open(options: &Options, start: Start) -> Option<Scan> {
        let socket = match Socket::bind(IpAddr::V4(start.source_ip), 0) {
            Ok(socket) => socket,
            Err(e) => {
                log::error!("packet source: cannot send from {}: {e}; no packets", start.source_ip);
                return None;
            }
        };
        let generator = Generator::new(options, &start, false);
        let scan = Scan { period: start.period(options.divisor), start, socket, generator, sent: 0 };
        if options.free_run {
            scan.free_run(options);
        }
        Some(scan)
    }

    /// A few spectra with large counters, so that the receiver sees the restart.
    fn free_run(&self, options: &Options) {
        let mut generator = Generator::new(options, &self.start, true);
        let mut datagrams = Vec::new();
        generator.next_spectrum(&mut datagrams);
        self.send(&datagrams);
    }

    fn until_next(&self) -> Duration {
        let due: Utc = self.start.at + self.period * (self.sent + 1);
        Duration::from_nanos(u64::try_from(due.nanos_since(clock::utc())).unwrap_or(0))
    }

    fn send_next(&mut self, datagrams: &mut Vec<Vec<u8>>) {
        self.generator.next_spectrum(datagrams);
        self.send(datagrams);
        self.sent = self.sent.wrapping_add(1);
    }

    fn send(&self, datagrams: &[Vec<u8>]) {
        for burst in datagrams.chunks(BURST) {
            for datagram in burst {
                // Nobody listening yet (ECONNREFUSED comes one packet late) is what a real network ignores.
                let _ = self.socket.send_to(datagram, SocketAddr::V4(self.start.dest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::spead::Packet;
    use std::net::UdpSocket;
    use std::net::{Ipv4Addr, SocketAddrV4};

    #[test]
    fn heaps_arrive_from_zero_and_stop() {
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        receiver.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let port = receiver.local_addr().expect("bound").port();
        let source = PacketSource::spawn(Options { divisor: 10, ..Options::default() });
        source
            .start(Start {
                at: clock::utc(),
                nchan: 1024,
                acc_len: 768,
                frequency_hz: 1.5e9,
                dest: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
                source_ip: Ipv4Addr::LOCALHOST,
            })
            .expect("a good start");
        let mut buffer = [0; 9000];
        for expected in [0, 0, 1, 1, 2] {
            let n = receiver.recv(&mut buffer).expect("a packet");
            assert_eq!(Packet::parse(&buffer[..n]).expect("ours").heap, expected);
        }
        source.stop();
        drop(source);
    }
}
