//! Bodies of the binary RPC: postcard, structs that never change once released.
//!
//! A body is walked before it is decoded: nesting and the number of values are bounded, so that a few bytes
//! of a peer cannot become a deep stack or a large heap.

use crate::value::Value;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Values within values, as in JSON.
pub const DEPTH_MAX: usize = 128;
/// Values in one body.
pub const VALUES_MAX: usize = 1 << 20;

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestBody {
    /// Interface, `bank`.
    pub interface: String,
    /// Method, `get_status`.
    pub method: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Vec<(String, Value)>,
    /// Milliseconds after which the caller wants an error rather than wait on; 0 = no limit.
    pub deadline_ms: u32,
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Class name, `KeyError`.
    pub class: String,
    /// `refused`, `invalid`, `peer`, `environment` or `timeout`.
    pub family: String,
    /// Text.
    pub message: String,
}

/// A state change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventBody {
    /// What it is about.
    pub topic: String,
    /// Events left out before this one.
    pub lost: u64,
    /// The change.
    pub body: Value,
}

/// A body that does not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Ends early.
    #[error("body ends within a value")]
    Truncated,
    /// Beyond [`DEPTH_MAX`].
    #[error("body nests values deeper than {DEPTH_MAX}")]
    TooDeep,
    /// Beyond [`VALUES_MAX`].
    #[error("body has more than {VALUES_MAX} values")]
    TooMany,
    /// Not UTF-8, no such kind of value, ...
    #[error("body does not decode")]
    Malformed,
}

/// The bytes of a body.
pub fn encode(body: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(body).expect("bodies have only kinds of data that postcard knows")
}

/// Reads the body of a request.
pub fn decode_request(bytes: &[u8]) -> Result<RequestBody, BodyError> {
    let mut walk = Walk::new(bytes);
    walk.text()?;
    walk.text()?;
    walk.items(1, Walk::value)?;
    walk.items(1, Walk::pair)?;
    walk.number()?;
    decode(bytes)
}

/// Reads the body of a reply.
pub fn decode_value(bytes: &[u8]) -> Result<Value, BodyError> {
    Walk::new(bytes).value(1)?;
    decode(bytes)
}

/// Reads the body of an error.
pub fn decode_error(bytes: &[u8]) -> Result<ErrorBody, BodyError> {
    decode(bytes)
}

/// Reads the body of an event.
pub fn decode_event(bytes: &[u8]) -> Result<EventBody, BodyError> {
    let mut walk = Walk::new(bytes);
    walk.text()?;
    walk.number()?;
    walk.value(1)?;
    decode(bytes)
}

/// Reads the reason of a farewell.
pub fn decode_text(bytes: &[u8]) -> Result<String, BodyError> {
    decode(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    postcard::from_bytes(bytes).map_err(|_| BodyError::Malformed)
}

/// Steps over postcard bytes without keeping anything.
struct Walk<'a> {
    rest: &'a [u8],
    values_left: usize,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8]) -> Walk<'a> {
        Walk { rest: bytes, values_left: VALUES_MAX }
    }

    fn skip(&mut self, n: u64) -> Result<(), BodyError> {
        let n = usize::try_from(n).map_err(|_| BodyError::Truncated)?;
        self.rest = self.rest.get(n..).ok_or(BodyError::Truncated)?;
        Ok(())
    }

    /// Varint: 7 bits a byte, lowest first.
    fn number(&mut self) -> Result<u64, BodyError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.rest.first().ok_or(BodyError::Truncated)?;
            self.skip(1)?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(BodyError::Malformed)
    }

    fn text(&mut self) -> Result<(), BodyError> {
        let len = self.number()?;
        self.skip(len)
    }

    fn items(
        &mut self,
        depth: usize,
        item: fn(&mut Self, usize) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        let count = self.number()?;
        (0..count).try_for_each(|_| item(self, depth))
    }

    fn pair(&mut self, depth: usize) -> Result<(), BodyError> {
        self.text()?;
        self.value(depth)
    }

    fn value(&mut self, depth: usize) -> Result<(), BodyError> {
        if depth > DEPTH_MAX {
            return Err(BodyError::TooDeep);
        }
        self.values_left = self.values_left.checked_sub(1).ok_or(BodyError::TooMany)?;
        // The order of the variants of `Value`.
        match self.number()? {
            0 => Ok(()),
            1 => self.skip(1),
            2 => self.number().map(drop),
            3 => self.skip(8),
            4 | 5 => self.text(),
            6 => self.items(depth + 1, Walk::value),
            7 => self.items(depth + 1, Walk::pair),
            _ => Err(BodyError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::json::tests::any_value;
    use proptest::prelude::*;

    fn request() -> RequestBody {
        RequestBody {
            interface: "bank".into(),
            method: "add".into(),
            args: vec![Value::Int(2)],
            kwargs: vec![("y".into(), Value::Int(3))],
            deadline_ms: 300,
        }
    }

    #[test]
    fn a_request_by_hand() {
        let bytes = b"\x04bank\x03add\x01\x02\x04\x01\x01y\x02\x06\xAC\x02";
        assert_eq!(encode(&request()), bytes);
        assert_eq!(decode_request(bytes), Ok(request()));
        for n in 0..bytes.len() {
            assert!(decode_request(&bytes[..n]).is_err(), "{n}");
        }
    }

    #[test]
    fn every_kind_of_value_by_hand() {
        for (value, bytes) in [
            (Value::Null, &b"\x00"[..]),
            (Value::Bool(true), b"\x01\x01"),
            (Value::Int(-1), b"\x02\x01"),
            (Value::Float(1.0), b"\x03\0\0\0\0\0\0\xF0\x3F"),
            (Value::Str("a".into()), b"\x04\x01a"),
            (Value::Bytes(vec![0xFF]), b"\x05\x01\xFF"),
            (Value::List(vec![Value::Null]), b"\x06\x01\x00"),
            (Value::Map(vec![("k".into(), Value::Null)]), b"\x07\x01\x01k\x00"),
        ] {
            assert_eq!(encode(&value), bytes);
            assert_eq!(decode_value(bytes), Ok(value));
        }
    }

    #[test]
    fn bombs_are_refused_before_they_grow() {
        assert_eq!(decode_value(&b"\x06\x01".repeat(1_000_000)), Err(BodyError::TooDeep));
        let mut wide = b"\x06\x80\x80\x80\x01".to_vec(); // 2 Mi items
        wide.resize(wide.len() + (2 << 20), 0);
        assert_eq!(decode_value(&wide), Err(BodyError::TooMany));
        assert_eq!(decode_value(b"\x06\xFF\xFF\xFF\xFF\x0F"), Err(BodyError::Truncated));
        assert_eq!(decode_value(b"\x04\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), Err(BodyError::Truncated));
        assert_eq!(decode_value(b"\x08"), Err(BodyError::Malformed));
        assert_eq!(decode_value(b"\x04\x01\xFF"), Err(BodyError::Malformed));
    }

    #[test]
    fn the_deepest_allowed_value_passes() {
        let mut bytes = b"\x06\x01".repeat(DEPTH_MAX - 1);
        bytes.push(0);
        assert!(decode_value(&bytes).is_ok());
    }

    proptest! {
        #[test]
        fn values_round_trip(value in any_value()) {
            prop_assert_eq!(decode_value(&encode(&value)), Ok(value));
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (decode_request(&bytes), decode_value(&bytes), decode_error(&bytes), decode_event(&bytes));
        }
    }
}
