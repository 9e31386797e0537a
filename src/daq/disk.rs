//! The thread `daq-disk`: adds spectra up to exposures and writes them. It never stops taking spectra: on a
//! full disk rows are lost (and counted, and said), but the program lives on and resumes with the next row.

use super::accumulate::{Accumulate, Progress, Row};
use super::heaps::Spectrum;
use super::net::{Item, Shared};
use super::output::{Output, check_directory};
use super::sdfits::{Provenance, Style};
use super::setup::{START_TOLERANCE_S, Setup};
use crate::sys::clock;
use crate::units::{Mono, Utc};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

/// Without a spectrum for this long the states say `waiting`.
const QUIET: Duration = Duration::from_millis(1500);

/// The thread's state.
pub struct Disk {
    setup: Setup,
    style: Style,
    from_net: Receiver<Item>,
    used: SyncSender<Vec<u8>>,
    shared: Arc<Shared>,
    sums: Accumulate,
    rows: Vec<Row>,
    origin: Option<Provenance>,
    arrival: Option<Utc>,
    output: Option<Output>,
    number: u32,
    written: u64,
    rows_lost: u64,
    state: &'static str,
}

impl Disk {
    /// Ready for the first spectrum.
    pub fn new(
        setup: Setup,
        style: Style,
        from_net: Receiver<Item>,
        used: SyncSender<Vec<u8>>,
        shared: Arc<Shared>,
    ) -> Disk {
        Disk {
            sums: Accumulate::new(&setup),
            setup,
            style,
            from_net,
            used,
            shared,
            rows: Vec::new(),
            origin: None,
            arrival: None,
            output: None,
            number: 0,
            written: 0,
            rows_lost: 0,
            state: "",
        }
    }

    /// Runs until the scan has its length or no more spectra come, and finishes the file.
    pub fn run(mut self) {
        self.accumulating("waiting");
        match check_directory(Path::new(&self.setup.datadir)) {
            Ok(()) => self.shared.board.pin("DISKSTAT", "ready"),
            Err(e) => self.complain("no DATADIR", &e.to_string()),
        }
        // Since when a false start has been as long as the scan although the commanded second has come: the real
        // start may follow at once, behind what was still on its way.
        let mut overdue: Option<Mono> = None;
        let reason = loop {
            match self.from_net.recv_timeout(QUIET) {
                Ok(Item::Started(arrival)) => {
                    overdue = None;
                    self.started(arrival);
                }
                _ if overdue.is_some_and(|since| clock::mono().since(since) >= QUIET) => break "length",
                Ok(Item::Spectrum(spectrum)) if overdue.is_some() => self.give_back(spectrum.data),
                Ok(Item::Spectrum(spectrum)) => {
                    if self.spectrum(spectrum) == Progress::ScanEnd {
                        if !self.before_command() {
                            break "length";
                        }
                        if self.commanded_second_is_ahead() {
                            self.discard_false_start();
                        } else {
                            overdue = Some(clock::mono());
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.quiet(),
                Err(RecvTimeoutError::Disconnected) => break "STOP",
            }
        };
        self.sums.flush(&mut self.rows);
        self.write_rows();
        self.close(reason);
        self.accumulating("exiting");
        if self.rows_lost == 0 {
            self.shared.board.pin("DISKSTAT", "exiting");
        } else {
            self.complain(&format!("error: {} rows lost", self.rows_lost), "see the messages above");
        }
    }

    /// Counters restarted: a new time zero. What was being added up is written first, unless it came
    /// before the commanded start.
    fn started(&mut self, arrival: Utc) {
        if self.before_command() {
            self.discard_false_start();
        } else {
            self.sums.flush(&mut self.rows);
            self.write_rows();
        }
        self.sums = Accumulate::new(&self.setup);
        self.origin = None;
        self.arrival = Some(arrival);
        let mjd = arrival.mjd();
        self.shared.board.pin("M_STTMJD", (mjd * 1e8).round() / 1e8);
        self.shared.board.pin("M_STTOFF", f64::from(arrival.subsec_nanos()) / 1e9);
    }

    /// The hardware ran before the second it was told to: pulses of a reset phase start it, too.
    fn before_command(&self) -> bool {
        let began = self.origin.as_ref().map(|o| o.start_mjd);
        let commanded = self.setup.start_mjd();
        began.zip(commanded).is_some_and(|(b, c)| (c - b) * 86_400.0 > START_TOLERANCE_S)
    }

    /// A false start can even be as long as a short scan: it does not end that.
    fn commanded_second_is_ahead(&self) -> bool {
        self.setup.start_mjd().is_some_and(|mjd| clock::utc().mjd() < mjd)
    }

    /// The real start has come, or is still to come: nobody asked for what was recorded until now.
    fn discard_false_start(&mut self) {
        self.rows.clear();
        self.sums = Accumulate::new(&self.setup);
        self.written = 0;
        let Some(output) = self.output.take() else { return };
        let rows = output.rows();
        self.number = output.number() - 1;
        match output.abandon() {
            Ok(()) => say!("{rows} rows from before the commanded start discarded"),
            Err(e) => say!("{rows} rows from before the commanded start stay: {e}"),
        }
    }

    fn spectrum(&mut self, spectrum: Spectrum) -> Progress {
        if self.origin.is_none() {
            self.origin = Some(self.find_origin(&spectrum));
        }
        self.accumulating("accumulating");
        let progress = self.sums.spectrum(&spectrum, &mut self.rows);
        self.give_back(spectrum.data);
        if !self.rows.is_empty() {
            self.write_rows();
        }
        progress
    }

    /// The net thread may be gone; then the buffer is just freed.
    fn give_back(&self, buffer: Vec<u8>) {
        let _ = self.used.try_send(buffer);
    }

    /// Where time zero is: the commanded start, unless the arrival of the first packet contradicts it.
    fn find_origin(&self, first: &Spectrum) -> Provenance {
        let date = clock::utc();
        let arrival = self.arrival.unwrap_or(date).mjd();
        let d = &first.description;
        // The first packet leaves when its spectrum is complete.
        let age_s = d.time_counter as f64 / self.setup.fpgaclk_hz + self.setup.seconds(d.integration_size);
        let from_arrival = arrival - age_s / 86_400.0;
        let (start_mjd, start_source) = match self.setup.start_mjd() {
            Some(mjd) if ((from_arrival - mjd) * 86_400.0).abs() <= START_TOLERANCE_S => (mjd, "STTMJD"),
            commanded => {
                if let Some(mjd) = commanded {
                    say!(
                        "the first packet says the scan started {:+.3} s from STTMJD; times follow the packet",
                        (from_arrival - mjd) * 86_400.0
                    );
                }
                (from_arrival, "first packet")
            }
        };
        Provenance { date, start_mjd, start_source, first_packet_mjd: arrival }
    }

    fn write_rows(&mut self) {
        for row in std::mem::take(&mut self.rows) {
            self.shared.board.pin("DISKSTAT", "writing");
            match self.write_row(&row) {
                Ok(()) => {
                    self.written += 1;
                    // Rows of a false start do not count while they may still be discarded.
                    if !self.before_command() {
                        self.shared.board.pin("DSKEXPWR", self.written as i64);
                    }
                }
                Err(e) => {
                    self.rows_lost += 1;
                    self.complain("error: cannot write", &e.to_string());
                }
            }
        }
    }

    fn write_row(&mut self, row: &Row) -> std::io::Result<()> {
        if self.output.as_ref().is_some_and(Output::full) {
            self.close("file full");
        }
        if self.output.is_none() {
            let origin =
                self.origin.as_ref().expect("a row comes from a spectrum, and the first set the origin");
            let output = Output::create(&self.setup, self.style, origin, self.number)?;
            self.number = output.number();
            self.shared.board.pin("FILENUM", i64::from(self.number));
            self.output = Some(output);
        }
        self.output.as_mut().expect("just opened").append(row)
    }

    fn close(&mut self, reason: &str) {
        let Some(output) = self.output.take() else { return };
        let (rows, totals) = (output.rows(), self.shared.totals());
        match output.finish(&totals.packets, totals.kernel_drops, reason) {
            Ok(path) => {
                self.shared.board.pin("DSKEXPWR", self.written as i64);
                say!("{rows} rows in {} ({reason})", path.display());
            }
            Err(e) => {
                self.rows_lost += rows;
                self.complain("error: cannot finish", &e.to_string());
            }
        }
    }

    fn quiet(&mut self) {
        if self.state == "accumulating" {
            self.accumulating("waiting");
            self.shared.board.pin("DISKSTAT", "waiting");
        }
    }

    fn accumulating(&mut self, state: &'static str) {
        if self.state != state {
            self.state = state;
            self.shared.board.pin("ACCSTAT", state);
        }
    }

    fn complain(&self, state: &str, why: &str) {
        say!("{state}: {why}");
        self.shared.board.pin("DISKSTAT", state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daq::sdfits::read::Recording;
    use crate::proto::spead::Description;
    use crate::value::Value;
    use std::sync::mpsc::sync_channel;

    /// One spectrum lasts 0.1 s.
    const CLOCKS: u64 = 18_750_000;

    fn spectrum(number: u32) -> Item {
        Item::Spectrum(bare_spectrum(number))
    }

    fn bare_spectrum(number: u32) -> Spectrum {
        let description = Description {
            time_counter: u64::from(number) * CLOCKS,
            spectrum_counter: u64::from(number),
            integration_size: 146_484,
            ..Description::default()
        };
        Spectrum { heap: number, description, lost_before: 0, data: vec![0; 1024 * 16] }
    }

    /// A second, commanded for `start`, to be recorded there.
    fn a_second(start: Utc, directory: &Path) -> Setup {
        let keys = [
            ("DATADIR", directory.display().to_string()),
            ("STTMJD", format!("{:.10}", start.mjd())),
            ("EXPOSURE", "0.5".into()),
            ("HWEXPOSR", "0.1".into()),
            ("SCANLEN", "1.0".into()),
            ("FPGACLK", "187500000".into()),
            ("EFSAMPFR", "3e9".into()),
            ("NCHAN", "1024".into()),
        ];
        Setup::read(&keys.map(|(k, v)| (k.to_owned(), v)).into()).expect("good keys")
    }

    /// Records a second of what is fed, commanded for `start`; the files then.
    fn record(start: Utc, items: Vec<Item>) -> Vec<Recording> {
        let directory = tempfile::tempdir().expect("a directory");
        let setup = a_second(start, directory.path());
        let (feed, from_net) = sync_channel(items.len());
        let (used, _back) = sync_channel(items.len());
        for item in items {
            feed.send(item).expect("there is room");
        }
        drop(feed);
        Disk::new(setup, Style::Correct, from_net, used, Arc::new(Shared::new(Arc::default()))).run();
        let entries = std::fs::read_dir(directory.path()).expect("there");
        entries.map(|e| Recording::open(&e.expect("an entry").path()).expect("complete")).collect()
    }

    #[test]
    fn rows_of_a_false_start_are_not_counted() {
        let directory = tempfile::tempdir().expect("a directory");
        let start = clock::utc().ceil_second() + Duration::from_secs(2);
        let shared = Arc::new(Shared::new(Arc::default()));
        let ((_feed, from_net), (used, _back)) = (sync_channel(1), sync_channel(32));
        let setup = a_second(start, directory.path());
        let mut disk = Disk::new(setup, Style::Correct, from_net, used, Arc::clone(&shared));
        let count = || shared.board.take().get("DSKEXPWR").cloned();
        disk.started(start - Duration::from_secs(3));
        for n in 0..12 {
            disk.spectrum(bare_spectrum(n));
        }
        assert_eq!((disk.written, count()), (2, None));
        disk.started(start);
        for n in 0..7 {
            disk.spectrum(bare_spectrum(n));
        }
        assert_eq!(count(), Some(Value::Int(1)));
    }

    #[test]
    fn a_false_start_that_arrives_late_and_is_longer_than_the_scan_does_not_end_it() {
        // The commanded second is over; before its packets comes, in one burst, what ran free for 2.5 s.
        let start = clock::utc().ceil_second() - Duration::from_secs(2);
        let mut items = vec![Item::Started(start - Duration::from_secs(3))];
        items.extend((0..25).map(spectrum));
        items.push(Item::Started(start));
        items.extend((0..12).map(spectrum));
        let files = record(start, items);
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].text("STARTSRC").as_deref(), Some("STTMJD"));
        assert_eq!(files[0].rows(), 2);
    }
}
