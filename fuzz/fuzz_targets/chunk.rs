#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sy_fuzz::chunk_of_a_list(data));
