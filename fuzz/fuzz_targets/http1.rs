#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uitwijk_fuzz::play("http1", data));
