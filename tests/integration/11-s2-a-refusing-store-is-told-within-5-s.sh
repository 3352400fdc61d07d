#!/bin/bash
# Goal: the store refuses connections.  A write is answered 200 and as fast as
# before; within 5 s every answer to that user says `failed` (S2).
. "$(dirname "$0")/lib.sh"

start_stack
execute alice "CREATE TABLE note(text)"
healthy=()
for i in 1 2 3 4 5; do
	execute alice "INSERT INTO note VALUES ('$i')"
	expect_status 200
	healthy+=("$MS")
done
wait_until 10 sync_clean alice

store_answers refused
began=$(now_ms)
execute alice "INSERT INTO note VALUES ('unstored')"
expect_status 200
expect_faster_than $(($(percentile 50 "${healthy[@]}") + 100))
wait_until 5 sync_failed alice
expect_json .status failed
expect_json .pending_commits 1
expect_json .last_error connect
[ $(($(now_ms) - began)) -lt 5000 ] || fail "told after $(($(now_ms) - began)) ms"

expect_told_everywhere alice failed
execute alice "INSERT INTO note VALUES ('unstored, too')"
expect_status 200
expect_header X-Sync-Status failed
post alice /v1/sync ''
expect_status 503
expect_header X-Sync-Status failed
expect_told_everywhere alice failed
expect_rows alice "SELECT count(*) FROM note" 7
finish
