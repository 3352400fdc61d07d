#!/bin/bash
# Goal: pushes and retries that another user sets off never upload this one's commits and
# never clear this one's flag (R5).
. "$(dirname "$0")/lib.sh"
export HOLDFAST_RETRY_MIN_MS=60000 HOLDFAST_RETRY_MAX_MS=60000

expect_alice_untouched() {
	expect_store_calls 0 '' /u/alice/
	get alice /v1/sync
	expect_header X-Sync-Status failed
	expect_json '"\(.status) \(.pending_commits) \(.failed_attempts)"' 'failed 1 1'
}

start_stack
for user in alice bob; do
	execute "$user" "CREATE TABLE note(text)"
	wait_until 10 sync_clean "$user"
done

store_answers 503
for user in alice bob; do
	execute "$user" "INSERT INTO note VALUES ('unstored')"
	expect_status 200
	wait_until 5 sync_failed "$user"
done

# From here on an upload of alice's would succeed.
store_answers normally
store_log_clear
post bob /v1/sync ''
expect_status 200
expect_no_header X-Sync-Status
expect_alice_untouched
for i in 1 2 3 4 5; do
	execute bob "INSERT INTO note VALUES ('$i')"
	expect_no_header X-Sync-Status
	wait_until 5 sync_clean bob
done
execute carol "CREATE TABLE note(text)"
wait_until 5 sync_clean carol
expect_alice_untouched
expect_restored_equals_local bob
restore alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 0

post alice /v1/sync ''
expect_status 200
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT text FROM note" unstored
finish
