#!/bin/bash
# Goal: with a silent store each of the ten writes of the same user is answered within
# retry_wait + 100 ms, before the user is flagged and after (B2).
. "$(dirname "$0")/lib.sh"
retry_wait=200
export HOLDFAST_RETRY_WAIT_MS=$retry_wait HOLDFAST_SILENCE_TIMEOUT_MS=1500

# write_ten: sets `slowest`.
write_ten() {
	slowest=0
	for i in 1 2 3 4 5 6 7 8 9 10; do
		execute alice "INSERT INTO note VALUES ($i)"
		expect_status 200
		expect_faster_than $((retry_wait + 100))
		[ "$MS" -le "$slowest" ] || slowest=$MS
	done
}

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice

store_answers silent
write_ten
wait_until 6 sync_failed alice
write_ten
[ "$slowest" -ge $((retry_wait / 2)) ] || fail "none has waited for its retry"
expect_header X-Sync-Status failed

store_answers normally
wait_until 15 sync_clean alice
expect_rows alice "SELECT count(*) FROM note" 20
expect_restored_equals_local alice
finish
