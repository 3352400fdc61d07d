#!/bin/bash
# Goal: the store comes back and the user sends nothing.  Within the backoff cap
# the object is up to date, and the next answer is clean (S8).
. "$(dirname "$0")/lib.sh"

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
store_answers refused
for i in 1 2 3; do
	execute alice "INSERT INTO note VALUES ('$i')"
	expect_status 200
done
# So often that the waits have reached their cap.
wait_until 20 sync_flagged_for 6 alice
store_objects_are 1 alice || fail "something was stored in spite of the outage"

# From here on alice is silent; the store itself says how far it is.
store_answers normally
began=$(now_ms)
wait_until 10 store_objects_are 2 alice
took=$(($(now_ms) - began))
# A second for the attempt itself and for looking.
[ "$took" -lt $((HOLDFAST_RETRY_MAX_MS + 1000)) ] || fail "the object was there after $took ms"

wait_until 5 no_push_of alice
execute alice "SELECT count(*) FROM note"
expect_status 200
expect_no_header X-Sync-Status
expect_told_everywhere alice ''
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 3
finish
