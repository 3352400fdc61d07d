#!/bin/bash
# Goal: under a mix of good and bad traffic, and with a store that fails and heals, no
# answer is wrong, nothing that was answered is lost, the sanitizers have nothing to say,
# and the memory stays what it was.
#
#	soak.sh SECONDS [SEED]	as `make soak`; wants a program with sanitizers
#	KILL_EVERY_S=n		kill a worker now and then; its successor begins afresh
#
# What is asked is a matter of the seed, in what order it comes not.  Leaves the curve of
# the memory in build/soak/curve.tsv.
. "$(dirname "$0")/../integration/lib.sh"

seconds=${1:-1800}
seed=${2:-$(date +%s)}
scripts=$(cd "$(dirname "$0")" && pwd)
out=$root/build/soak
sample_ms=$((seconds < 60 ? 500 : 5000))
recorder=
killer=

# What was freed waits in a quarantine, which would look like a leak while it fills.
export ASAN_OPTIONS=quarantine_size_mb=16:${ASAN_OPTIONS:-}
# Limits that bad traffic reaches soon.
export HOLDFAST_STATEMENT_TIMEOUT_MS=1000 HOLDFAST_MAX_DB_BYTES=16MiB HOLDFAST_MAX_RESULT_BYTES=2MiB
export HOLDFAST_RETENTION_S=60 HOLDFAST_MAX_WAL_BYTES=4MiB HOLDFAST_STREAM_IDLE_MS=3000
export HOLDFAST_RETRY_MAX_MS=1000

# shellcheck disable=SC2317
end_helpers() {
	local status=$? pid

	trap - EXIT
	for pid in $recorder $killer; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	[ ! -f "$stack/here/holdfast.log" ] || cp "$stack/here/holdfast.log" "$out/holdfast.log"
	(exit "$status") || true
	clean_up
}

kill_now_and_then() {
	local pids

	while sleep "$KILL_EVERY_S"; do
		mapfile -t pids < <(workers)
		kill -KILL "${pids[$((RANDOM % ${#pids[@]}))]}"
	done
}

grep -qa __asan_init "$HOLDFAST" || fail "$HOLDFAST has no sanitizers: make B=build/asan"
mkdir -p "$out"
start_stack
trap end_helpers EXIT
for alg in HS256 EdDSA ES256 RS256; do
	jose key "$alg" "$alg" "the-$alg"
done
jose key EdDSA wrong the-EdDSA
jq -s '{keys: .}' "$stack"/{HS256,EdDSA.pub,ES256.pub,RS256.pub}.jwk >"$stack/all.jwks"
use_keys all.jwks
restart_holdfast

"$node" "$scripts/curve.mjs" record "${holdfast_pid[here]}" "$out/curve.tsv" "$sample_ms" &
recorder=$!
if [ -n "${KILL_EVERY_S:-}" ]; then
	kill_now_and_then &
	killer=$!
fi
mapfile -t before < <(workers)
"$node" "$scripts/traffic.mjs" "$(url)" "$seconds" "$seed" "$stack" "$stack/here/run" "$control_port" \
	"${KILL_EVERY_S:+1}" || fail "traffic was answered wrongly, see above"
kill -TERM "$recorder"
wait "$recorder" || fail "the curve was not written"
recorder=
if [ -n "$killer" ]; then
	kill -TERM "$killer"
	killer=
elif [ "$(workers | xargs)" != "${before[*]}" ]; then
	fail "a worker has died, see build/soak/holdfast.log"
fi

for folder in "$(data)"/users/*/*; do
	wait_until 60 sync_clean "$(basename "$folder")"
done
stop_holdfast
[ "$STATUS" = 0 ] || fail "the program ended with $STATUS"
holdfast verify --all >"$out/verify" || fail "verify: $(grep -v '^ok ' "$out/verify" | head -n 5)"
[ ! -e /tmp/soak-must-not-exist ] || fail "SQL has written a file"
"$node" "$scripts/curve.mjs" judge "$out/curve.tsv" || fail "the memory grows: build/soak/curve.tsv"
tail -n 1 "$out/verify"
finish
