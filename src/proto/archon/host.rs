//! The host's side of the stream: `>XXCOMMAND` lines, written and (for the simulator) read.

/// `>XXCOMMAND\n`.
pub fn line(id: u8, text: &str) -> Vec<u8> {
    format!(">{id:02X}{text}\n").into_bytes()
}
