#!/bin/bash
# Goal: kill -9 of the master: a worker with a request that waits for the silent store
# answers it and goes, so that a new master has not long to wait; it pushes what is
# dirty with no request.  Also when the worker was ending already.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_SILENCE_TIMEOUT_MS=12000

# A new master is there long before the wait for the store would have been over.
expect_quick_restart() {
	local began

	kill -KILL "${holdfast_pid[here]}"
	wait "${holdfast_pid[here]}" 2>/dev/null || true
	store_answers normally
	began=$(now_ms)
	start_holdfast
	[ $(($(now_ms) - began)) -lt 3000 ] || fail "a restart took $(($(now_ms) - began)) ms"
	expect_asked 503
}

workers_are() {
	[ "$(workers | wc -l)" = "$1" ]
}

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice

store_answers '{"action":"silent","method":"PUT"}'
execute alice "INSERT INTO note VALUES ('first')"
expect_status 200
ask_for_push alice
wait_until 5 requests_are_in 1
expect_quick_restart
wait_until 10 restored_has alice "SELECT text FROM note" first

store_answers '{"action":"silent","method":"PUT"}'
execute alice "INSERT INTO note VALUES ('second')"
expect_status 200
ask_for_push alice
wait_until 5 requests_are_in 1
started=$(log_lines worker.start)
reload_holdfast
# Four new ones are serving: whoever is left over is the one with the request.
wait_until 20 log_lines_reach $((started + 4)) worker.start
wait_until 20 log_lines_reach 3 master.ready
wait_until 10 workers_are 5
expect_quick_restart
wait_until 10 restored_has alice "SELECT count(*) FROM note" 2
finish
