#!/bin/bash
# Goal: the store accepts connections and never answers, or cannot be reached at
# all.  A write is answered 200 and as fast as before; within 5 s every answer to
# that user says `failed` (S4).
. "$(dirname "$0")/lib.sh"

start_stack
execute alice "CREATE TABLE note(text)"
healthy=()
for i in 1 2 3 4 5; do
	execute alice "INSERT INTO note VALUES ('$i')"
	expect_status 200
	healthy+=("$MS")
done

for weather in silent unreachable; do
	wait_until 20 sync_clean alice
	store_answers "$weather"
	began=$(now_ms)
	execute alice "INSERT INTO note VALUES ('$weather')"
	expect_status 200
	expect_no_header X-Sync-Status
	expect_faster_than $(($(percentile 50 "${healthy[@]}") + 100))
	wait_until 5 sync_failed alice
	[ $(($(now_ms) - began)) -lt 5000 ] || fail "$weather: told after $(($(now_ms) - began)) ms"
	expect_json .last_error timeout
	expect_told_everywhere alice failed
	store_answers normally
done
wait_until 20 sync_clean alice
expect_told_everywhere alice ''
expect_restored_equals_local alice
finish
