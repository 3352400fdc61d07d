#!/bin/bash
# Goal: with the disk wiped and the store there, the first request brings the
# database back, and ten at once make one pull (K5).
. "$(dirname "$0")/lib.sh"
start_stack
execute alice "CREATE TABLE note(text, filling)"
for n in 1 2 3 4 5; do
	execute alice "INSERT INTO note VALUES ('$n', randomblob(50000))"
	wait_until 10 sync_clean alice
done
local_dump alice >"$stack/before"
objects=$(store_object_keys alice | wc -l)

stop_holdfast
wipe_disk
start_holdfast
# Slow enough that all ten are there before the pull is over.
store_answers slowly 200
store_log_clear
pids=()
for _ in 1 2 3 4 5 6 7 8 9 10; do
	expect_rows alice "SELECT count(*) || group_concat(text, '') FROM note" 512345 &
	pids+=($!)
done
wait_all "${pids[@]}"
expect_store_calls "$objects" GET '/alice/'
expect_store_calls $((objects + 1))

local_dump alice | diff - "$stack/before" >/dev/null || fail "what came back is not what was there"
expect_sound "$(local_file alice)"
store_answers normally
store_log_clear
execute alice "INSERT INTO note VALUES ('6', NULL)"
wait_until 10 sync_clean alice
expect_store_calls 1
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 6
finish
