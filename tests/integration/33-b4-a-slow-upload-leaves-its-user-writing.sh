#!/bin/bash
# Goal: 1 MB goes out at 10 KB/s.  A second client of that user reads and commits meanwhile (B4).
. "$(dirname "$0")/lib.sh"

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice

store_answers throttled 10000
store_log_clear
execute alice "INSERT INTO note VALUES (randomblob(1000000))"
expect_status 200
wait_until 10 store_is_busy PUT /u/alice/
for i in 1 2 3 4 5; do
	execute alice "INSERT INTO note VALUES ('meanwhile')"
	expect_status 200
	expect_faster_than 500
	expect_rows alice "SELECT count(*) FROM note" $((i + 1))
	expect_faster_than 500
done
store_is_busy PUT /u/alice/ || fail "the upload was over before the writes were"
expect_store_calls 1 PUT
get alice /v1/sync
expect_no_header X-Sync-Status
expect_json .pending_commits 6

# The rest at full speed: what is under way at 10 KB/s is cut off.
store_answers resets
store_answers normally
wait_until 20 sync_clean alice
[ "$(store_most_puts alice)" = 1 ] || fail "$(store_most_puts alice) PUTs were under way at once"
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*), max(length(text)) FROM note" '6|1000000'
finish
