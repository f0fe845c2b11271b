#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sy_fuzz::options(data));
