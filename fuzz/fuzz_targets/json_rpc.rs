#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = appliance::proto::json_rpc::read_request(data);
    let _ = appliance::proto::json_rpc::read_reply(data);
});
