#!/bin/bash
# Goal: a flagged user only reads.  The reads are as fast as without an outage, and
# they turn clean by themselves within the backoff cap of the store's return (S9).
. "$(dirname "$0")/lib.sh"

# Many short attempts, so that reads meet them at every stage.
export HOLDFAST_SILENCE_TIMEOUT_MS=400 HOLDFAST_RETRY_MAX_MS=1000

# time_reads STATUS [ENOUGH...]: 60 and more, until ENOUGH holds.  Sets slow_ms: one in
# ten was slower.
time_reads() {
	local times=()

	while [ ${#times[@]} -lt 60 ] || ! "${@:2}"; do
		execute alice "SELECT count(*) FROM note"
		expect_status 200
		[ "$(header X-Sync-Status)" = "$1" ] || fail "X-Sync-Status is not '$1'"
		times+=("$MS")
	done
	slow_ms=$(percentile 90 "${times[@]}")
}

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
time_reads '' true
healthy_ms=$slow_ms

store_answers silent
execute alice "INSERT INTO note VALUES ('unstored')"
wait_until 5 sync_failed alice
time_reads failed sync_flagged_for 3 alice
[ "$slow_ms" -le $((healthy_ms + 50)) ] || fail "reads take $slow_ms ms, $healthy_ms without an outage"

store_answers normally
began=$(now_ms)
until [ -z "$(header X-Sync-Status)" ]; do
	execute alice "SELECT count(*) FROM note"
	expect_status 200
	expect_faster_than $((healthy_ms + 150))
	took=$(($(now_ms) - began))
	# A second for the attempts themselves and for looking.
	[ "$took" -lt $((HOLDFAST_RETRY_MAX_MS + HOLDFAST_SILENCE_TIMEOUT_MS + 1000)) ] ||
		fail "still flagged after $took ms"
done
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 1
finish
