//! The headers of a delivery, and the value of the one that signs it.
//! Calls `slipway::webhook::fuzz`, which says what must hold.
#![no_main]

use slipway::webhook::fuzz;

libfuzzer_sys::fuzz_target!(|headers: &[u8]| {
    fuzz::headers(headers);
    fuzz::signature(headers);
});
