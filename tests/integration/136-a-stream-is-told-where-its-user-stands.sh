#!/bin/bash
# Goal: X-Sync-Status is on every answer of a stream and changes with its COMMIT only;
# in a conflict the stream's writes are refused with 409, and keeping the other side
# does not wait for an open transaction.
. "$(dirname "$0")/lib.sh"
start_stack
sequence alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice

# The store refuses: writes that are not committed are none of its business.
store_answers 503
stream_begin alice "BEGIN IMMEDIATE" "INSERT INTO note VALUES ('one')"
expect_no_header X-Sync-Status
stream_go_on alice "INSERT INTO note VALUES ('two')"
expect_no_header X-Sync-Status
store_log_clear
sleep_until=$(($(now_ms) + 300))
while [ "$(now_ms)" -lt "$sleep_until" ]; do
	get alice /v1/sync
	expect_no_header X-Sync-Status
done
expect_store_calls 0 PUT
stream_go_on alice "COMMIT"
expect_result 0 ''
wait_until 5 sync_failed alice
stream_go_on alice "BEGIN"
expect_header X-Sync-Status failed
stream_go_on alice "SELECT count(*) FROM note"
expect_header X-Sync-Status failed
store_answers normally
wait_until 10 sync_clean alice
stream_go_on alice "SELECT count(*) FROM note"
expect_result 0 2
expect_no_header X-Sync-Status
stream_go_on alice "$close_stream"

# Another host writes the next object; here a transaction is open when that turns out.
start_host there
sequence alice "INSERT INTO note VALUES ('there')"
wait_until 10 sync_clean alice
on_host here
store_answers slowly 1500
execute alice "INSERT INTO note VALUES ('here')"
expect_status 200
stream_begin alice "BEGIN IMMEDIATE" "INSERT INTO note VALUES ('lost')"
expect_result 1 ''
expect_no_header X-Sync-Status
wait_until 10 sync_conflict alice
store_answers normally
stream_go_on alice "COMMIT"
expect_refused 409 SYNC_CONFLICT
stream_begin alice "BEGIN" "SELECT count(*) FROM note"
expect_result 1 3
expect_header X-Sync-Status conflict
reading=$BATON
stream_begin alice "BEGIN" "SELECT 1"
stream_go_on alice "INSERT INTO note VALUES ('refused')"
expect_refused 409 SYNC_CONFLICT
expect_header X-Sync-Status conflict
BATON=$reading
stream_go_on alice "SELECT count(*) FROM note"
expect_result 0 3
post alice /v1/sync/resolve '{"keep":"remote"}'
expect_status 200
expect_faster_than 5000
wait_until 5 sync_clean alice
stream_go_on alice "SELECT count(*) FROM note"
expect_refused 400 STREAM_EXPIRED
expect_rows alice "SELECT text FROM note" 'one
two
there'
finish
