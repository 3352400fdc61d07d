#!/bin/bash
# Goal: TERM while the store says nothing: the request under way is answered, who waits
# for the store hears that it has not answered, the program ends by itself within the
# deadline, and after the restart everything is pushed with no request (K10).
. "$(dirname "$0")/lib.sh"
deadline=5000
# Silence alone would last longer.
export HOLDFAST_SHUTDOWN_MS=$deadline HOLDFAST_SILENCE_TIMEOUT_MS=12000
users=(alice bob carol)

# Writes, for which the lock is needed; how that went is in a file, since this is a
# process of its own.
write_patiently() {
	execute "$1" "INSERT INTO note VALUES ('$1')"
	echo "$STATUS" >"$stack/answered"
}

release_when_stopping() {
	wait_until 10 log_lines_reach 1 master.stop
	release_lock
}

start_stack
for user in "${users[@]}"; do
	execute "$user" "CREATE TABLE note(text)"
	expect_status 200
	wait_until 10 sync_clean "$user"
done
# New workers have nothing open, so what is open is being served.
mapfile -t before < <(workers)
reload_holdfast
wait_until 30 workers_replaced "${before[@]}"

store_log_clear
store_answers '{"action":"silent","method":"PUT"}'
for user in bob carol; do
	execute "$user" "INSERT INTO note VALUES ('$user')"
	expect_status 200
done
wait_until 5 store_calls_are 2 PUT
ask_for_push bob
wait_until 5 requests_are_in 1
hold_lock alice
write_patiently alice &
writing=$!
wait_until 5 is_open alice
release_when_stopping &
releasing=$!
stop_holdfast
wait_all "$writing" "$releasing"

[ "$STATUS" = 0 ] || fail "stopped with status $STATUS"
[ "$MS" -le "$deadline" ] || fail "took $MS ms, want at most $deadline"
[ "$(cat "$stack/answered")" = 200 ] || fail "the request under way got no answer"
expect_asked 503
[ "$(log_lines worker.kill)" = 0 ] || fail "a worker had to be killed"

store_answers normally
start_holdfast
for user in "${users[@]}"; do
	wait_until 20 restored_has "$user" "SELECT text FROM note" "$user"
done
finish
