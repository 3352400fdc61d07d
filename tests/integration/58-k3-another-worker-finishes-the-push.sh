#!/bin/bash
# Goal: a worker that is killed with -9 in the middle of an upload leaves no right
# and no state stuck: its user can write at once, and another worker finishes
# the push (K3).
. "$(dirname "$0")/lib.sh"
start_stack
execute alice "CREATE TABLE note(text, filling)"
wait_until 10 sync_clean alice

objects=1
for round in alone written alone; do
	store_answers throttled 100000
	store_log_clear
	execute alice "INSERT INTO note VALUES ('$round', randomblob(200000))"
	expect_status 200
	wait_until 10 store_upload_reaches 10000
	kill_worker_serving alice
	[ "$(control GET /log | jq '[.requests[] | select(.method == "PUT")][0].status')" = null ] ||
		fail "the upload was over before the worker died"
	store_answers normally

	if [ "$round" = written ]; then
		execute alice "INSERT INTO note VALUES ('at once', NULL)"
		expect_status 200
		expect_faster_than 1000
		wait_until 10 sync_clean alice
		objects=$(store_object_keys alice | wc -l)
	else
		objects=$((objects + 1))
		wait_until 10 store_objects_are "$objects" alice
		wait_until 10 sync_clean alice
	fi
	expect_restored_equals_local alice
done
expect_rows_in "$restored" "SELECT group_concat(text) FROM note" 'alone,written,at once,alone'
finish
