#!/bin/bash
# Goal: who is flagged and would be tried again in a minute is pushed at TERM, once, if
# the store answers by then (K9); a reload is no such occasion.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_SHUTDOWN_MS=10000 HOLDFAST_RETRY_MIN_MS=60000 HOLDFAST_RETRY_MAX_MS=60000
flagged=(anna bert cleo dora emil)

start_stack
for user in "${flagged[@]}" clean; do
	execute "$user" "CREATE TABLE note(text)"
	expect_status 200
	wait_until 10 sync_clean "$user"
done
store_answers '{"action":"status","status":500,"method":"PUT"}'
for user in "${flagged[@]}"; do
	execute "$user" "INSERT INTO note VALUES ('$user')"
	expect_status 200
	wait_until 10 sync_failed "$user"
done
store_log_clear
mapfile -t before < <(workers)
reload_holdfast
wait_until 30 workers_replaced "${before[@]}"
wait_until 10 log_lines_reach 2 master.ready
expect_store_calls 0

# It still refuses: one attempt each, and none is made again by the workers that end last.
stop_holdfast
[ "$STATUS" = 0 ] || fail "stopped with status $STATUS"
for user in "${flagged[@]}"; do
	expect_store_calls 1 PUT "/$user/"
done
start_holdfast
for user in "${flagged[@]}"; do
	sync_failed "$user" || fail "$user is not flagged after the restart"
	wait_until 10 sync_flagged_for 2 "$user"
done

store_answers normally
store_log_clear
stop_holdfast
[ "$STATUS" = 0 ] || fail "stopped with status $STATUS"
expect_store_calls ${#flagged[@]} PUT
for user in "${flagged[@]}"; do
	expect_store_calls 1 PUT "/$user/"
	expect_restored_equals_local "$user"
done
finish
