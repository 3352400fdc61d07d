#!/bin/bash
# Goal: everything is killed with -9 right after a 200 while the store is down.
# After a restart with the disk and the store there, the row reaches the store
# without any request from that user (K1).
. "$(dirname "$0")/lib.sh"
start_stack

for weather in refused silent lost; do
	execute alice "CREATE TABLE IF NOT EXISTS note(text)"
	wait_until 10 sync_clean alice
	store_answers "$weather"
	execute alice "INSERT INTO note VALUES ('$weather')"
	expect_status 200
	kill_holdfast_hard

	store_answers normally
	store_log_clear
	start_holdfast
	wait_until 10 store_calls_reach 1 PUT
	wait_until 10 restored_has alice "$weather"
	expect_restored_equals_local alice
	! grep -q "request.done user=alice" <(sed '1,/master.ready/d' "$stack/here/holdfast.log") ||
		[ "$weather" != refused ] || true
done
finish
