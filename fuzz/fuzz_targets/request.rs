//! A connection: bytes as they are, or a delivery with odd headers or an odd body, signed or not.
//! Calls `slipway::webhook::fuzz`, which says what must hold.
#![no_main]

use slipway::webhook::fuzz::Fuzzed;

thread_local!(static FUZZED: Fuzzed = Fuzzed::default());

libfuzzer_sys::fuzz_target!(|input: &[u8]| FUZZED.with(|fuzzed| fuzzed.request(input)));
