#!/bin/bash
# Goal: when the store is back, POST /v1/sync says success only once the object matches what
# was committed when it asked (R2).
. "$(dirname "$0")/lib.sh"
export HOLDFAST_RETRY_MIN_MS=60000 HOLDFAST_RETRY_MAX_MS=60000

# Whatever is not in the store by now, stays out.
close_store() {
	store_answers '[{"action":"status","method":"PUT","status":503}]'
}

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice

store_answers refused
for i in 1 2 3; do
	execute alice "INSERT INTO note VALUES ('$i')"
	expect_status 200
done
wait_until 5 sync_failed alice

store_answers normally
store_answers '{"action":"delay","method":"PUT","before_ms":1000}'
post alice /v1/sync ''
close_store
expect_status 200
expect_no_header X-Sync-Status
expect_json '"\(.status) \(.pending_commits)"' 'ok 0'
[ "$MS" -ge 990 ] || fail "success after $MS ms, before the store had answered"
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 3

# A write that is dirty only, and whose push is under way already.
store_answers '[{"action":"delay","method":"PUT","before_ms":1000}]'
execute alice "INSERT INTO note VALUES ('4')"
wait_until 5 store_is_busy PUT
execute alice "INSERT INTO note VALUES ('5')"
post alice /v1/sync ''
close_store
expect_status 200
expect_json '"\(.status) \(.pending_commits)"' 'ok 0'
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 5

# Nothing to push: no need to ask the store.
store_log_clear
post alice /v1/sync ''
expect_status 200
expect_store_calls 0
finish
