#!/bin/bash
# Goal: `failed`, and since when, survives the death of workers, HUP and a full
# restart, clean or by kill -9: the very first answer afterwards has it (K4).
. "$(dirname "$0")/lib.sh"
start_stack
execute alice "CREATE TABLE note(text)"
execute bob "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
wait_until 10 sync_clean bob
store_answers 503
execute alice "INSERT INTO note VALUES ('not stored')"
wait_until 10 sync_failed alice
since=$(jq -r .failed_since "$BODY")

expect_flagged() {
	get alice /v1/sync
	expect_status 200
	expect_header X-Sync-Status failed
	expect_json .status failed
	expect_json .failed_since "$since"
	expect_json .last_error throttled
	execute alice "SELECT text FROM note"
	expect_header X-Sync-Status failed
	expect_json '.result.rows[0][0].value' 'not stored'
	get bob /v1/sync
	expect_no_header X-Sync-Status
}

mapfile -t before < <(workers)
kill_workers
wait_until 20 workers_replaced "${before[@]}"
expect_flagged

mapfile -t before < <(workers)
reload_holdfast
wait_until 20 workers_replaced "${before[@]}"
expect_flagged

stop_holdfast
[ "$STATUS" = 0 ] || fail "stopped with status $STATUS"
start_holdfast
expect_flagged

kill_holdfast_hard
start_holdfast
expect_flagged

# And no longer than it is true.
store_answers normally
wait_until 10 sync_clean alice
expect_restored_equals_local alice
stop_holdfast
store_answers refused
start_holdfast
get alice /v1/sync
expect_no_header X-Sync-Status
expect_json .failed_since null
finish
