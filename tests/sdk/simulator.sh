# Starts the simulator for an SDK check and exports what the E2B SDKs read; it ends with the script that sources this.
# Sourced by e2b-js/run.sh and e2b-python/run.sh, which bring `fail`.

# Built first: what follows is a fresh process that prints its URLs when it is ready.
cargo build --quiet --package slipway-simulator
ready=$(mktemp)
# `cargo run` becomes the simulator: its pid is the one to end.
cargo run --quiet --package slipway-simulator >"$ready" &
simulator=$!
trap 'kill "$simulator" 2>/dev/null; wait "$simulator" 2>/dev/null; rm -f "$ready"' EXIT
for _ in $(seq 300); do
    if [ -s "$ready" ]; then break; fi
    kill -0 "$simulator" 2>/dev/null || fail "the simulator did not start"
    sleep 0.1
done
url() {
    sed -E "s/.*\"$1\":\"([^\"]*)\".*/\1/" "$ready"
}
E2B_API_KEY=e2b_0000000000000000000000000000000000000000
E2B_API_URL=$(url e2bApi)
E2B_SANDBOX_URL=$(url e2bSandbox)
CONTROL_URL=$(url control)
# Without them the SDK would turn to E2B itself.
[[ $E2B_API_URL == http://127.0.0.1:* && $E2B_SANDBOX_URL == http://127.0.0.1:* ]] || fail "the simulator named no URLs"
export E2B_API_KEY E2B_API_URL E2B_SANDBOX_URL CONTROL_URL
