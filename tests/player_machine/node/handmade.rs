//! A client of the JSON face that writes its own requests.

use super::house::House;
use appliance::proto::json;
use appliance::proto::zmtp::{Side, frame, greeting};
use appliance::reactor::ConnId;
use appliance::value::Value;

/// A client that writes its own JSON.
pub struct Handmade(pub ConnId);

impl Handmade {
    /// Connected, and past the handshake.
    pub fn new(house: &mut House) -> Handmade {
        let conn = house.raw();
        house.send(conn, &[&greeting::ours()[..], &Side::Req.ready()].concat());
        let _ = house.received(conn);
        Handmade(conn)
    }

    /// Asks `bank` and gives the reply, if it has come; errors are objects.
    pub fn ask(&self, house: &mut House, method: &str, more: &str) -> Option<Value> {
        let body = format!(r#"{{"name": "bank", "proc": "{method}", "args": [], "kwargs": {{}}{more}}}"#);
        let mut bytes = Vec::new();
        frame::push(&mut bytes, true, b"");
        frame::push(&mut bytes, false, body.as_bytes());
        house.send(self.0, &bytes);
        self.reply(house)
    }

    /// The next reply, if it has come.
    pub fn reply(&self, house: &mut House) -> Option<Value> {
        let bytes = house.received(self.0);
        let head = frame::Header::read(bytes.get(2..)?)?;
        Some(json::read(&bytes[2 + head.head_len..]).expect("JSON"))
    }
}
