#!/bin/bash
# Goal: everything is killed with -9 right after a 200 while the store is down.
# After a restart with the disk and the store there, the row reaches the store
# without any request from that user (K1).
. "$(dirname "$0")/lib.sh"
start_stack

execute alice "CREATE TABLE note(text)"

for weather in refused silent 503 lost; do
	wait_until 10 sync_clean alice
	store_answers "$weather"
	execute alice "INSERT INTO note VALUES ('$weather')"
	expect_status 200
	kill_holdfast_hard

	store_answers normally
	start_holdfast
	# From here on nobody asks the program for anything.
	wait_until 10 restored_has alice "SELECT text FROM note WHERE text = '$weather'" "$weather"
	expect_restored_equals_local alice
done
expect_rows_in "$restored" "SELECT group_concat(text) FROM note" refused,silent,503,lost
finish
