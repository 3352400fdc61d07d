#!/bin/bash
# Goal: one user's PUT is refused with 429 and Retry-After: 5.  That user waits it out,
# whoever asks for an attempt meanwhile; others are pushed as ever (B6).
. "$(dirname "$0")/lib.sh"

start_stack
for user in alice bob; do
	execute "$user" "CREATE TABLE note(text)"
	wait_until 10 sync_clean "$user"
done

store_answers '{"action":"status","method":"PUT","path":"/u/alice/","status":429,"retry_after":5,"times":1}'
store_log_clear
execute alice "INSERT INTO note VALUES ('early')"
expect_status 200
wait_until 2 sync_failed alice
expect_json .last_error throttled

for i in 1 2 3 4; do
	execute alice "INSERT INTO note VALUES ('$i')"
	expect_status 200
	post alice /v1/sync ''
	expect_status 503
	expect_header X-Sync-Status failed
	execute bob "INSERT INTO note VALUES ('$i')"
	expect_no_header X-Sync-Status
	wait_until 2 sync_clean bob
done
expect_store_calls 1 PUT /u/alice/
expect_store_calls 4 PUT /u/bob/

wait_until 10 sync_clean alice
waited=$(store_log | jq -s 'map(select(.path | test("/u/alice/"))) | .[1].start - .[0].end')
[ "$waited" -ge 4990 ] || fail "tried again after $waited ms, want 5000"
[ "$waited" -lt 8000 ] || fail "tried again only after $waited ms, want 5000"
expect_restored_equals_local alice
expect_restored_equals_local bob
finish
