#!/bin/bash
# Goal: POST /v1/sync while the store is away ends within its 10 s with an honest failure,
# and five at once make one attempt (R1).
. "$(dirname "$0")/lib.sh"
# Nothing but a request makes an attempt.
export HOLDFAST_RETRY_MIN_MS=60000 HOLDFAST_RETRY_MAX_MS=60000

expect_honest_failure() {
	post alice /v1/sync ''
	expect_status 503
	expect_json .code SYNC_FAILED
	expect_header X-Sync-Status failed
	[ -n "$(header Retry-After)" ] || fail "there is no Retry-After"
	expect_faster_than 10000
}

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice

for weather in refused resets unreachable 503; do
	store_answers "$weather"
	execute alice "INSERT INTO note VALUES ('$weather')"
	expect_status 200
	expect_honest_failure
done
get alice /v1/sync
expect_json '"\(.status) \(.pending_commits)"' 'failed 4'

store_answers '{"action":"read-then-silent","path":"/"}'
store_log_clear
for _ in 1 2 3 4 5; do
	expect_honest_failure &
	asking+=($!)
done
wait_all "${asking[@]}"
expect_store_calls 1 PUT
expect_store_calls 1

store_answers normally
post alice /v1/sync ''
expect_status 200
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 4
finish
