//! Registers, images and single requests: methods of one order.

use super::arguments as arg;
use super::procedure::Procedure;
use super::values::Give;
use crate::api::CallError;
use crate::api::bind::Bound;
use crate::fpga::FpgaOp;
use crate::value::Value;

pub(super) fn progdev(bound: &Bound) -> Result<Procedure, CallError> {
    let image = match bound.value("boffile") {
        Value::Null => None,
        Value::Str(name) if name.is_empty() => None,
        Value::Str(name) => Some(name.clone()),
        other => {
            return Err(CallError::type_error(format!("boffile must be text or null, not {}", other.kind())));
        }
    };
    Ok(Procedure::orders([FpgaOp::Program { image }], Give::Word("ok")))
}

pub(super) fn read(bound: &Bound) -> Result<Procedure, CallError> {
    let register = arg::text(bound, "device_name")?;
    let order = FpgaOp::Read { register, offset: arg::word(bound, "offset")?, len: arg::size(bound)? };
    Ok(Procedure::orders([order], Give::Bytes))
}

pub(super) fn write(bound: &Bound, verify: bool) -> Result<Procedure, CallError> {
    let (register, offset) = (arg::text(bound, "device_name")?, arg::word(bound, "offset")?);
    let data = arg::payload(bound)?;
    let whole = offset.is_multiple_of(4) && data.len().is_multiple_of(4);
    if !verify && !whole {
        let text =
            format!("{} bytes at offset {offset}: blindwrite writes whole 32-bit words only", data.len());
        return Err(CallError::value_error(text));
    }
    Ok(Procedure::orders([FpgaOp::Write { register, offset, data, verify }], Give::Null))
}

pub(super) fn read_word(bound: &Bound, give: Give) -> Result<Procedure, CallError> {
    let register = arg::text(bound, "device_name")?;
    Ok(Procedure::orders([arg::read_word(register, arg::word_offset(bound)?)], give))
}

/// Negative numbers as the two's complement they are.
pub(super) fn write_int(bound: &Bound) -> Result<Procedure, CallError> {
    let value = arg::whole(bound, "integer", i64::from(i32::MIN), i64::from(u32::MAX))? as u32;
    let register = arg::text(bound, "device_name")?;
    let verify = !arg::flag(bound, "blindwrite");
    let order = arg::write_word(register, arg::word_offset(bound)?, value, verify);
    Ok(Procedure::orders([order], Give::Null))
}

pub(super) fn any_request(bound: &Bound) -> Result<Procedure, CallError> {
    let args = bound.list("args").unwrap_or_default().iter().map(argument).collect::<Result<Vec<_>, _>>()?;
    let order = FpgaOp::Raw { name: arg::text(bound, "name")?, args };
    Ok(Procedure::orders([order], Give::Request))
}

/// Numbers as Python writes them; text and bytes as they are.
fn argument(value: &Value) -> Result<Vec<u8>, CallError> {
    match value {
        Value::Str(text) => crate::api::bind::bytes_of(text)
            .ok_or_else(|| CallError::value_error("an argument has characters above U+00FF")),
        Value::Bytes(bytes) => Ok(bytes.clone()),
        Value::Int(n) => Ok(n.to_string().into_bytes()),
        Value::Float(x) => Ok(format!("{x:?}").into_bytes()),
        Value::Bool(flag) => Ok(if *flag { b"1".to_vec() } else { b"0".to_vec() }),
        other => Err(CallError::type_error(format!("an argument cannot be {}", other.kind()))),
    }
}
