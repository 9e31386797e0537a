//! The hello: `APLR`, version, then fields of tag (1 byte), length (2 bytes, little-endian) and value, so that
//! later versions can say more. Unknown tags are skipped.

use super::HELLO_MAX;

/// First bytes of a hello.
pub const MAGIC: [u8; 4] = *b"APLR";
/// Peers of another major version do not talk.
pub const MAJOR: u8 = 1;
/// Grows with every addition.
pub const MINOR: u8 = 0;
/// Longest text of a field that we send.
const TEXT_MAX: usize = 255;

const ROLE: u8 = 1;
const NODE: u8 = 2;
const SOFTWARE: u8 = 3;
const FEATURES: u8 = 4;

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Hello {
    /// Minor version.
    pub minor: u8,
    /// `player`, `client`, ...
    pub role: String,
    /// Name of the node or host.
    pub node: String,
    /// Program and version.
    pub software: String,
    /// Bits for optional abilities; none is assigned yet.
    pub features: u64,
}

/// A hello that cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Another protocol.
    #[error("peer does not speak the binary RPC (no 'APLR' in its hello)")]
    Magic,
    /// Another major version.
    #[error("peer speaks version {0} of the binary RPC, this is version {MAJOR}")]
    Major(u8),
    /// A field ends after the frame, or has the wrong length.
    #[error("hello with a broken field {0}")]
    Field(u8),
    /// Shorter than magic and version.
    #[error("hello is too short")]
    Short,
}

impl Hello {
    /// A hello of this program.
    pub fn of(role: &str, node: &str) -> Hello {
        let software = concat!("appliance ", env!("CARGO_PKG_VERSION")).to_owned();
        Hello { minor: MINOR, role: role.to_owned(), node: node.to_owned(), software, features: 0 }
    }

    /// How others are told who this is: `ann@control` of a client, with its role of any other program
    /// (`dealer-proxy control`).
    pub fn who(&self) -> String {
        match (self.role.as_str(), self.node.as_str()) {
            ("" | "client", node) => node.to_owned(),
            (role, "") => role.to_owned(),
            (role, node) => format!("{role} {node}"),
        }
    }

    /// The body of the frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&[MAJOR, self.minor]);
        for (tag, text) in [(ROLE, &self.role), (NODE, &self.node), (SOFTWARE, &self.software)] {
            push_field(&mut out, tag, &text.as_bytes()[..text.floor_char_boundary(TEXT_MAX)]);
        }
        push_field(&mut out, FEATURES, &self.features.to_le_bytes());
        debug_assert!(out.len() <= HELLO_MAX, "four short fields");
        out
    }

    /// Reads the body of the frame. Text that is not UTF-8 is repaired: it is for people.
    pub fn decode(body: &[u8]) -> Result<Hello, HelloError> {
        if !body.starts_with(&MAGIC[..body.len().min(4)]) {
            return Err(HelloError::Magic);
        }
        let (head, mut rest) = body.split_first_chunk::<6>().ok_or(HelloError::Short)?;
        if head[4] != MAJOR {
            return Err(HelloError::Major(head[4]));
        }
        let mut hello = Hello { minor: head[5], ..Hello::default() };
        while let Some((&tag, after)) = rest.split_first() {
            let (value, after) = split_field(after).ok_or(HelloError::Field(tag))?;
            let text = || String::from_utf8_lossy(value).into_owned();
            match tag {
                ROLE => hello.role = text(),
                NODE => hello.node = text(),
                SOFTWARE => hello.software = text(),
                FEATURES => {
                    let bits = value.try_into().map_err(|_| HelloError::Field(tag))?;
                    hello.features = u64::from_le_bytes(bits);
                }
                _ => {}
            }
            rest = after;
        }
        Ok(hello)
    }
}

fn push_field(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
}

fn split_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] =
        b"APLR\x01\x00\x01\x06\x00player\x02\x01\x00n\x03\x03\x00x 1\x04\x08\x00\x05\0\0\0\0\0\0\0";

    fn hello() -> Hello {
        Hello { minor: 0, role: "player".into(), node: "n".into(), software: "x 1".into(), features: 5 }
    }

    #[test]
    fn by_hand() {
        assert_eq!(hello().encode(), BYTES);
        assert_eq!(Hello::decode(BYTES), Ok(hello()));
    }

    #[test]
    fn a_client_is_called_by_its_name_and_a_program_by_its_role_too() {
        assert_eq!(Hello::of("client", "ann@control").who(), "ann@control");
        assert_eq!(Hello::of("client", "").who(), "");
        assert_eq!(Hello::of("dealer-proxy", "control").who(), "dealer-proxy control");
        assert_eq!(Hello::of("dealer-proxy", "").who(), "dealer-proxy");
    }

    #[test]
    fn later_minor_versions_may_say_more() {
        let mut bytes = BYTES.to_vec();
        bytes[5] = 7;
        bytes.extend_from_slice(b"\x63\x02\x00??");
        assert_eq!(Hello::decode(&bytes), Ok(Hello { minor: 7, ..hello() }));
    }

    #[test]
    fn broken_ones() {
        assert_eq!(Hello::decode(b"GET / HTTP"), Err(HelloError::Magic));
        assert_eq!(Hello::decode(b"APLR\x02\x00"), Err(HelloError::Major(2)));
        assert_eq!(Hello::decode(b"APLR\x01"), Err(HelloError::Short));
        assert_eq!(Hello::decode(b"APLR\x01\x00\x01\xFF\xFFx"), Err(HelloError::Field(1)));
        assert_eq!(Hello::decode(b"APLR\x01\x00\x04\x01\x00x"), Err(HelloError::Field(4)));
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        let long = Hello { node: "é".repeat(200), ..hello() };
        let node = Hello::decode(&long.encode()).expect("valid").node;
        assert_eq!(node, "é".repeat(127));
    }
}
