//! The CCD host against the reference's client library, `sdss-archon` with astropy, each on a simulated controller of
//! its own: the fetch of a frame into a file, the upload of a configuration, STATUS, memory.

mod house;
mod partner;
mod plain;

use super::figures::{ROUNDS, Report};
use appliance::proto::archon::Sample;
use house::{ACF_LINES, Controller, Host, SIDE, acf, other};
use partner::Partner;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Fetches of one turn, of which the median counts; after one that does not.
const FETCHES: u32 = 5;
/// Uploads with one setting, of which the median counts.
const UPLOADS: u32 = 3;
/// Alignment of what is in a FITS file, bytes.
const FITS_BLOCK: u64 = 2880;

/// What one fetch costs.
#[derive(Clone, Copy)]
struct Cost {
    /// From the order to its end.
    seconds: f64,
    /// Of all threads of the process that fetches.
    cpu: f64,
}

/// What is asked of all measurements.
struct Bench<'a> {
    binary: &'a Path,
    python: Option<&'a Path>,
    span: Duration,
    /// Place and directory of the files.
    places: Vec<(&'static str, tempfile::TempDir)>,
    work: tempfile::TempDir,
}

/// All figures of the role; without `python` there is no partner.
pub fn figures(report: &mut Report, binary: &Path, python: Option<&Path>, span: Duration) -> io::Result<()> {
    let mut places = Vec::new();
    if Path::new("/dev/shm").is_dir() {
        places.push(("tmpfs", tempfile::tempdir_in("/dev/shm")?));
    }
    places.push(("disk", tempfile::tempdir()?));
    let bench = Bench { binary, python, span, places, work: tempfile::tempdir()? };
    let narrow = bench.frames(report, Sample::U16)?;
    bench.frames(report, Sample::U32)?;
    bench.uploads(report, narrow.as_ref())?;
    bench.status(report, narrow.as_ref())?;
    report.note(NOTE);
    Ok(())
}

const NOTE: &str = "CCD host: both sides fetch from `appliance sim archon --counter` processes over loopback and write \
the same pixels. Ours: calls of `archon.frame_fetch` and `config_write` by a client that stays connected, from the call \
to its answer (buffer locked, lock file, file with statistics and checksums, file and directory synced, buffer \
released); CPU of the daemon from /proc. sdss-archon: `fetch()` and astropy's `writeto(checksum=True)`, not synced; CPU \
of that process. Medians of 5 fetches or 3 uploads; fetches the best of 3 turns. Ratios: their time or CPU by ours. \
Uploads: each side's own procedure up to APPLYALL. STATUS through the daemon is the whole way: a call, an order, STATUS \
on the wire, typed values back; through the link, and by send_and_wait, only the text of the reply.";

impl Bench<'_> {
    fn write_acf(&self, sample: Sample) -> io::Result<std::path::PathBuf> {
        let path = self.work.path().join(format!("{sample:?}.acf"));
        fs::write(&path, acf(sample)?.to_text())?;
        Ok(path)
    }

    /// Fetches of frames of this kind; the partner's figures.
    fn frames(&self, report: &mut Report, sample: Sample) -> io::Result<Option<Partner>> {
        let acf = self.write_acf(sample)?;
        let theirs = Controller::start(self.binary, &acf)?;
        let controller = Controller::start(self.binary, &acf)?;
        let mut host = Host::start(self.binary, self.work.path(), &controller, &acf, false, &[])?;
        host.upload(true)?;
        host.expose()?;
        let (address, blocks) = controller.frame()?;

        let mut partner: Option<Partner> = None;
        let mut ours: Vec<Option<Cost>> = vec![None; self.places.len()];
        let (mut ceiling, mut simulator) = (f64::MAX, 0.0);
        for _ in 0..ROUNDS {
            if let Some(python) = self.python {
                let dirs: Vec<&Path> = self.places.iter().map(|(_, dir)| dir.path()).collect();
                let run = partner::run(python, theirs.at, &acf, self.span.as_secs_f64(), &dirs)?;
                partner = Some(match partner {
                    Some(before) => before.best(run),
                    None => run,
                });
            }
            host.reconnect()?;
            for ((_, dir), best) in self.places.iter().zip(&mut ours) {
                let cost = self.fetch(&mut host, dir.path(), sample)?;
                *best = Some(best.map_or(cost, |b| b.best(cost)));
            }
            let before = controller.server.cpu()?;
            let seconds = plain::median(plain::fetch(controller.at, address, blocks, FETCHES)?);
            if seconds < ceiling {
                ceiling = seconds;
                simulator = (controller.server.cpu()? - before) / f64::from(FETCHES);
            }
        }

        let (bytes, depth) = (frame_bytes(sample), 8 * sample.bytes());
        let raw = Cost { seconds: ceiling, cpu: simulator };
        let what =
            format!("FETCH {SIDE} x {SIDE}, {depth} bit: what the simulator delivers to a plain reader");
        report.row(&what, format!("{}, its CPU {:.0} ms", speed(&raw, bytes), raw.cpu * 1e3), "", "", "");
        for (n, (place, _)) in self.places.iter().enumerate() {
            let Some(cost) = &ours[n] else { continue };
            let what =
                format!("FETCH {SIDE} x {SIDE}, {depth} bit, into a FITS file with checksums, {place}");
            let theirs = partner.as_ref().map(|p| &p.files[n]);
            compare(report, &what, cost, theirs, bytes, ">= 800 MB/s, less CPU");
        }
        if let Some(partner) = &partner {
            let own = speed(&partner.memory, bytes);
            let what = format!("FETCH {SIDE} x {SIDE}, {depth} bit, into memory (partner only)");
            report.row(&what, String::new(), &format!("sdss-archon: {own}"), "", "");
        }
        let peak = host.server.peak_memory()?;
        let theirs = partner.as_ref().map(|p| p.peak_mb);
        report.row(
            &format!("peak memory after these, {depth} bit"),
            format!("{peak:.0} MB"),
            &theirs.map_or(String::new(), |t| format!("Python process: {t:.0} MB")),
            &theirs.map_or(String::new(), |t| format!("{:.1}", t / peak)),
            "",
        );
        if sample == Sample::U16 {
            drop(host);
            self.with_sums(report, &controller, &acf)?;
        }
        Ok(partner)
    }

    /// As sites do it: the sum of the published file as well.
    fn with_sums(&self, report: &mut Report, controller: &Controller, acf: &Path) -> io::Result<()> {
        let mut host = Host::start(self.binary, self.work.path(), controller, acf, true, &[])?;
        let (place, dir) = &self.places[0];
        let cost = self.fetch(&mut host, dir.path(), Sample::U16)?;
        let what = format!("the same with the md5 sum of the file (`checksum` of archon.yml), {place}");
        compare(report, &what, &cost, None, frame_bytes(Sample::U16), "");
        Ok(())
    }

    /// Into a file; what is in it is compared with the partner's.
    fn fetch(&self, host: &mut Host, dir: &Path, sample: Sample) -> io::Result<Cost> {
        let file = dir.join("ours.fits");
        let mut times = Vec::new();
        let mut before = 0.0;
        for n in 0..=FETCHES {
            if n == 1 {
                before = host.server.cpu()?;
            }
            let began = Instant::now();
            host.fetch(&file)?;
            if n > 0 {
                times.push(began.elapsed());
            } else if self.python.is_some() && !same_pixels(&file, &dir.join("reference.fits"), sample)? {
                return Err(io::Error::other("the files of both sides have different pixels"));
            }
            fs::remove_file(&file)?;
        }
        let cpu = (host.server.cpu()? - before) / f64::from(FETCHES);
        Ok(Cost { seconds: plain::median(times), cpu })
    }

    fn uploads(&self, report: &mut Report, partner: Option<&Partner>) -> io::Result<()> {
        let acf = self.write_acf(Sample::U16)?;
        let controller = Controller::start(self.binary, &acf)?;
        let settings = [(1, true, "<= 1.5 s"), (1, false, ""), (64, true, "< 50 ms"), (64, false, "")];
        for (depth, verify, target) in settings {
            let own = [format!("archon.upload_depth={depth}"), format!("archon.verify_config={verify}")];
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            let mut host = Host::start(self.binary, self.work.path(), &controller, &acf, false, &own)?;
            let how = if verify { "read back and compared" } else { "not read back" };
            let what = format!("ACF upload, {ACF_LINES} lines, APPLYALL; {depth} in flight, {how}");
            upload(report, &what, &mut host, false, partner.map(|p| p.upload), target)?;
            if depth == 64 && verify {
                let what = format!("{what}; POWERON (waits for a STATUS newer than the upload)");
                upload(report, &what, &mut host, true, partner.map(|p| p.upload_power), "")?;
            }
        }
        Ok(())
    }

    fn status(&self, report: &mut Report, partner: Option<&Partner>) -> io::Result<()> {
        let acf = self.write_acf(Sample::U16)?;
        let controller = Controller::start(self.binary, &acf)?;
        let mut host = Host::start(self.binary, self.work.path(), &controller, &acf, false, &[])?;
        let (mut link, mut daemon, mut plain) = (0.0f64, 0.0f64, 0.0f64);
        let span = self.span;
        for _ in 0..ROUNDS {
            link = link.max(plain::link_status_rate(controller.at, span)?);
            daemon = daemon.max(plain::rate(span, || host.status())?);
            plain = plain.max(plain::status_rate(controller.at, span)?);
        }
        let theirs = partner.map(|p| p.status_per_s);
        let mut row = |what: &str, ours: f64| {
            let reference = theirs.map_or(String::new(), |t| format!("sdss-archon send_and_wait: {t:.0}/s"));
            let ratio = theirs.map_or(String::new(), |t| format!("{:.1}", ours / t));
            report.row(what, format!("{ours:.0}/s"), &reference, &ratio, "");
        };
        row("STATUS, one at a time: the link of the daemon over a blocking socket", link);
        row("STATUS, one at a time: `archon.status` through the daemon, asked afresh and typed", daemon);
        let what = "STATUS, one at a time: what the simulator answers a plain reader";
        report.row(what, format!("{plain:.0}/s"), "", "", "");
        Ok(())
    }
}

fn upload(
    report: &mut Report,
    what: &str,
    host: &mut Host,
    power: bool,
    theirs: Option<f64>,
    target: &str,
) -> io::Result<()> {
    let one = |_| {
        let began = Instant::now();
        host.upload(power)?;
        Ok(began.elapsed())
    };
    let ours = plain::median((0..UPLOADS).map(one).collect::<io::Result<_>>()?);
    let ms = |s: f64| format!("{:.0} ms", s * 1e3);
    let reference = theirs.map_or(String::new(), |t| format!("sdss-archon write_config: {}", ms(t)));
    let ratio = theirs.map_or(String::new(), |t| format!("{:.1}", t / ours));
    report.row(what, ms(ours), &reference, &ratio, target);
    Ok(())
}

fn compare(report: &mut Report, what: &str, ours: &Cost, theirs: Option<&Cost>, bytes: f64, target: &str) {
    let said = |c: &Cost| format!("{}, CPU {:.0} ms", speed(c, bytes), c.cpu * 1e3);
    let reference = theirs.map_or(String::new(), |t| format!("sdss-archon + astropy: {}", said(t)));
    let ratio = theirs
        .map_or(String::new(), |t| format!("{:.1}, CPU {:.1}", t.seconds / ours.seconds, t.cpu / ours.cpu));
    report.row(what, said(ours), &reference, &ratio, target);
}

fn speed(cost: &Cost, bytes: f64) -> String {
    format!("{:.0} MB/s ({:.1} ms)", cost.rate(bytes), cost.seconds * 1e3)
}

fn frame_bytes(sample: Sample) -> f64 {
    f64::from(SIDE) * f64::from(SIDE) * sample.bytes() as f64
}

/// The data units, which end both files.
fn same_pixels(a: &Path, b: &Path, sample: Sample) -> io::Result<bool> {
    let padded = (frame_bytes(sample) as u64).next_multiple_of(FITS_BLOCK) as usize;
    let (a, b) = (fs::read(a)?, fs::read(b)?);
    let unit = |file: &[u8]| file.len().checked_sub(padded).map(|at| file[at..].to_vec());
    let unit_a = unit(&a).ok_or_else(|| other("our file is too short"))?;
    Ok(Some(unit_a) == unit(&b))
}

impl Cost {
    /// The faster one.
    fn best(self, than: Cost) -> Cost {
        if than.seconds < self.seconds { than } else { self }
    }
}

impl Partner {
    /// The better figures of two runs.
    fn best(self, than: Partner) -> Partner {
        Partner {
            upload: self.upload.min(than.upload),
            upload_power: self.upload_power.min(than.upload_power),
            memory: self.memory.best(than.memory),
            files: self.files.iter().zip(&than.files).map(|(a, b)| a.best(*b)).collect(),
            status_per_s: self.status_per_s.max(than.status_per_s),
            peak_mb: self.peak_mb.max(than.peak_mb),
        }
    }
}
