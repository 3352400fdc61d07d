#!/bin/bash
# Goal: `Prefer: wait=N` holds a write's answer until the store has it, N seconds at most;
# nobody else waits, and those who do share one push (B8).
. "$(dirname "$0")/lib.sh"
export HOLDFAST_RETRY_MIN_MS=300 HOLDFAST_RETRY_MAX_MS=300

wait_for_it() {
	execute alice "$1" -H "Prefer: wait=$2"
	expect_status 200
}

# is_there TEXT, in SQL's quotes
is_there() {
	[ "$(query alice "SELECT count(*) FROM note WHERE text = $1")" = 1 ]
}

expect_not_held() {
	[ "$MS" -lt 900 ] || fail "held for $MS ms"
	expect_no_header Preference-Applied
}

start_stack
wait_for_it "CREATE TABLE note(text)" 5
expect_header Preference-Applied wait
expect_no_header X-Sync-Status
sync_clean alice || fail "said before it was true"

store_answers slowly 1000
wait_for_it "INSERT INTO note VALUES ('1')" 5
expect_header Preference-Applied wait
[ "$MS" -ge 990 ] || fail "success after $MS ms, before the store had answered"
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 1

# Who commits nothing has nothing to wait for, and who does not ask is not held.
wait_for_it "SELECT * FROM note" 5
expect_not_held
wait_for_it "DELETE FROM note WHERE text = 'nobody'" 5
expect_not_held
execute alice "INSERT INTO note VALUES ('2')"
expect_not_held
wait_until 5 sync_clean alice

store_log_clear
pids=()
for i in 1 2 3 4 5 6; do
	(
		wait_for_it "INSERT INTO note VALUES ('with $i')" 8
		expect_header Preference-Applied wait
	) &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid" || fail "one who waited was not told the truth"
done
puts=$(store_calls PUT)
[ "$puts" -le 3 ] || fail "$puts objects for six who wait together"

# Not in time: told so, and the write is there and goes its way.
store_answers silent
wait_for_it "INSERT INTO note VALUES ('late')" 1
expect_header X-Sync-Status failed
expect_no_header Preference-Applied
[ "$MS" -ge 990 ] || fail "asked to wait 1 s, waited $MS ms"
[ "$MS" -lt 3000 ] || fail "asked to wait 1 s, waited $MS ms"

# A store that comes back in time.
store_answers refused
wait_until 10 sync_failed alice
(
	wait_for_it "INSERT INTO note VALUES ('in time')" 8
	expect_header Preference-Applied wait
	expect_no_header X-Sync-Status
) &
waiter=$!
wait_until 5 is_there "'in time'"
store_answers normally
wait "$waiter" || fail "the store came back, and who waited was not told"
expect_restored_equals_local alice

# The end of the program does not wait for who does.
store_answers refused
(wait_for_it "INSERT INTO note VALUES ('at the end')" 10) &
waiter=$!
wait_until 5 is_there "'at the end'"
stop_holdfast here
wait "$waiter" || fail "who was held got no answer at the end"
finish
