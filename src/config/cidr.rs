//! Networks of an allow-list: `10.16.0.0/12`, `192.168.7.4`, `fd00::/8`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Is this address in the network? IPv4 and IPv6 never match each other.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                same_prefix(u128::from(u32::from(a)) << 96, u128::from(u32::from(b)) << 96, self.bits)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => same_prefix(u128::from(a), u128::from(b), self.bits),
            _ => false,
        }
    }
}

fn same_prefix(a: u128, b: u128, bits: u8) -> bool {
    bits == 0 || (a ^ b) >> (128 - u32::from(bits)) == 0
}

impl FromStr for Cidr {
    type Err = String;
    fn from_str(text: &str) -> Result<Cidr, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let wrong =
            || format!("'{text}' is no network; write for example \"10.16.0.0/12\" or \"192.168.7.4\"");
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(b) => b.trim().parse().ok().filter(|b| *b <= most).ok_or_else(wrong)?,
            None => most,
        };
        Ok(Cidr { address, bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl<'de> serde::Deserialize<'de> for Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Cidr, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, ip: &str) -> bool {
        network.parse::<Cidr>().expect("network").contains(ip.parse().expect("address"))
    }

    #[test]
    fn prefixes_decide() {
        assert!(holds("10.16.0.0/12", "10.31.255.255"));
        assert!(!holds("10.16.0.0/12", "10.32.0.0"));
        assert!(holds("192.168.7.4", "192.168.7.4"));
        assert!(!holds("192.168.7.4", "192.168.7.5"));
        assert!(holds("0.0.0.0/0", "8.8.8.8"));
        assert!(!holds("0.0.0.0/0", "::1"));
        assert!(holds("fd00::/8", "fd12::1"));
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for bad in ["", "10.0.0.0/33", "ten", "10.0.0.0/", "::/129"] {
            assert!(bad.parse::<Cidr>().expect_err(bad).contains("10.16.0.0/12"));
        }
    }
}
