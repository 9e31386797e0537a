//! `mmap:PATH?key=value&...`: which device, and how its registers lie in it.

use super::Order;
use crate::proto::register_table::number;
use crate::sys::device_map::Place;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How every address begins.
pub const SCHEME: &str = "mmap:";

const USAGE: &str = "write mmap:DEVICE?map=FILE, and where needed &order=big|little, &offset=BYTES, &length=BYTES, \
                     &window=N, &access=ro, &partial=merge, &runs=IMAGE, &i2c=none, &probe=REGISTER:VALUE";

/// A register whose value is known, to see that the device is there and runs its design.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Register name.
    pub register: String,
    /// Its first word.
    pub value: u32,
}

/// A device and everything that must be known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MmapAddress {
    /// Where the registers are.
    pub place: Place,
    /// `.bof`, `.fpg`, or a table: names, offsets, sizes.
    pub map: PathBuf,
    /// Byte order of the device's words.
    pub order: Order,
    /// Writes of parts of a word read the word, merge, and write it back.
    pub merge: bool,
    /// The image the device runs for good: programming it is done already.
    pub runs: Option<String>,
    /// There is no IF port on an I2C bus: what is written to one is dropped.
    pub no_i2c: bool,
    /// How to see that the device is there.
    pub probe: Option<Probe>,
    /// As it was written.
    text: String,
}

impl FromStr for MmapAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<MmapAddress, String> {
        let refuse = |why: String| format!("'{text}': {why}; {USAGE}");
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| refuse("does not begin with mmap:".into()))?;
        let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err(refuse("names no device".into()));
        }
        let place = Place {
            path: path.into(),
            offset: 0,
            len: None,
            otherwise: 0,
            window: default_window(path),
            read_only: false,
        };
        let mut address = MmapAddress {
            place,
            map: PathBuf::new(),
            order: default_order(path),
            merge: false,
            runs: None,
            no_i2c: false,
            probe: None,
            text: text.to_owned(),
        };
        for option in options.split('&').filter(|o| !o.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            address.set(key, value).map_err(refuse)?;
        }
        match address.map.as_os_str().is_empty() {
            true => Err(refuse("says not where the registers are (map=)".into())),
            false => Ok(address),
        }
    }
}

impl MmapAddress {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let bad = || format!("{key}={value} makes no sense");
        let bytes = || number(value).ok_or_else(bad);
        match (key, value) {
            ("map", _) => self.map = value.into(),
            ("order", "big") => self.order = Order::Big,
            ("order", "little") => self.order = Order::Little,
            ("offset", _) => self.place.offset = bytes()?,
            ("length", _) => self.place.len = Some(bytes()?),
            ("window", _) => self.place.window = Some(bytes()?),
            ("access", "ro") => self.place.read_only = true,
            ("access", "rw") => self.place.read_only = false,
            ("partial", "merge") => self.merge = true,
            ("partial", "refuse") => self.merge = false,
            ("runs", image) if !image.is_empty() => self.runs = Some(image.to_owned()),
            ("i2c", "none") => self.no_i2c = true,
            ("probe", _) => self.probe = Some(probe(value).ok_or_else(bad)?),
            ("order" | "access" | "partial" | "runs" | "i2c", _) => return Err(bad()),
            _ => return Err(format!("'{key}' is no option")),
        }
        Ok(())
    }
}

fn probe(text: &str) -> Option<Probe> {
    let (register, value) = text.rsplit_once(':')?;
    let value = number(value).and_then(|v| u32::try_from(v).ok())?;
    (!register.is_empty()).then(|| Probe { register: register.to_owned(), value })
}

/// A ROACH2 is a big-endian machine; PCI and UIO devices are little-endian as a rule.
fn default_order(path: &str) -> Order {
    match path.starts_with("/dev/roach") {
        true => Order::Big,
        false => Order::Little,
    }
}

/// Maps of a UIO device are chosen by number; the first unless said.
fn default_window(path: &str) -> Option<u64> {
    path.starts_with("/dev/uio").then_some(0)
}

/// As it was written.
impl fmt::Display for MmapAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_everything() {
        let text = "mmap:/dev/uio1?map=/etc/card.tab&order=big&offset=0x100&length=4096&window=2&access=ro\
                    &partial=merge&runs=h1k.bof&i2c=none&probe=sys_board_id:0xB00B";
        let a: MmapAddress = text.parse().expect("well-formed");
        assert_eq!((a.place.offset, a.place.len, a.place.window), (0x100, Some(4096), Some(2)));
        assert_eq!((a.order, a.place.read_only, a.merge, a.no_i2c), (Order::Big, true, true, true));
        assert_eq!(a.probe, Some(Probe { register: "sys_board_id".into(), value: 0xB00B }));
        assert_eq!((a.runs.as_deref(), a.to_string()), (Some("h1k.bof"), text.to_owned()));
    }

    #[test]
    fn the_device_decides_what_is_not_said() {
        let of = |path: &str| format!("mmap:{path}?map=m").parse::<MmapAddress>().expect("well-formed");
        assert_eq!((of("/dev/roach/mem").order, of("/dev/uio0").order), (Order::Big, Order::Little));
        assert_eq!((of("/dev/roach/mem").place.window, of("/dev/uio0").place.window), (None, Some(0)));
    }

    #[test]
    fn everything_else_is_refused_with_the_way_to_write_it() {
        for text in [
            "katcp://r:1",
            "mmap:",
            "mmap:?map=a",
            "mmap:/dev/x",
            "mmap:/dev/x?map=",
            "mmap:/dev/x?map=a&order=middle",
            "mmap:/dev/x?map=a&offset=-4",
            "mmap:/dev/x?map=a&probe=a",
            "mmap:/dev/x?map=a&probe=:1",
            "mmap:/dev/x?map=a&runs=",
            "mmap:/dev/x?map=a&i2c=yes",
            "mmap:/dev/x?map=a&colour=red",
        ] {
            let error = text.parse::<MmapAddress>().expect_err(text);
            assert!(error.contains(text) && error.contains("write mmap:DEVICE?map=FILE"), "{error}");
        }
    }
}
