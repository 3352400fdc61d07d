#!/bin/bash
# Goal: write 2 commits while the PUT of write 1 is under way and write 1 succeeds.  The user
# is not clean, and stays flagged if flagged before, until write 2 is stored (R8).
. "$(dirname "$0")/lib.sh"
slow_puts='[{"action":"delay","method":"PUT","before_ms":1000,"times":1},
	{"action":"delay","method":"PUT","before_ms":2500}]'

# overlap_writes TEXT: write 2 during the PUT of write 1, until the PUT of write 2 runs.
overlap_writes() {
	wait_until 5 store_is_busy PUT
	execute alice "INSERT INTO note VALUES ('$1')"
	expect_status 200
	store_calls_are 1 PUT || fail "write 2 came after the PUT of write 1"
	wait_until 5 store_calls_are 2 PUT
}

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice

store_answers "$slow_puts"
store_log_clear
execute alice "INSERT INTO note VALUES ('1')"
overlap_writes 2
get alice /v1/sync
expect_json '"\(.status) \(.pending_commits) \(.remote_txid)"' 'dirty 1 2'
restore alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 1
wait_until 5 sync_clean alice
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 2

store_answers '[{"action":"status","method":"PUT","status":503}]'
execute alice "INSERT INTO note VALUES ('3')"
wait_until 5 sync_failed alice
store_answers "$slow_puts"
store_log_clear
overlap_writes 4
get alice /v1/sync
expect_header X-Sync-Status failed
expect_json '"\(.status) \(.pending_commits) \(.remote_txid)"' 'failed 1 4'
wait_until 5 sync_clean alice
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 4
finish
