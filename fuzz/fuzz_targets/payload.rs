//! A body that somebody has signed.
//! Calls `slipway::webhook::fuzz`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| slipway::webhook::fuzz::payload(body));
