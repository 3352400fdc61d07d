#!/bin/bash
# Goal: TERM with 5 dirty and 200 clean users pushes exactly the 5, those who found no
# free upload and the one whose request was still running included; that request is
# answered, and the program ends by itself within the deadline (K9).
. "$(dirname "$0")/lib.sh"
deadline=15000
# One upload at a time for each worker, so that some of the five have to wait.
export HOLDFAST_SHUTDOWN_MS=$deadline HOLDFAST_MAX_UPLOADS=4 HOLDFAST_LOCK_WAIT_MS=10000
clean=200
dirty=(anna bert cleo dora emil)

# make_users FIRST STEP: every STEP-th of the clean ones.
make_users() {
	local i

	for ((i = $1; i <= clean; i += $2)); do
		execute "clean$i" "CREATE TABLE note(text)"
		expect_status 200
	done
}

# users_are NUMBER STATUS; a predicate
users_are() {
	holdfast status --json | jq -e --argjson n "$1" --arg status "$2" \
		'[.users[] | select(.status == $status)] | length == $n' >/dev/null
}

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
making=()
for i in 1 2 3 4; do
	make_users "$i" 4 &
	making+=($!)
done
wait_all "${making[@]}"
for user in "${dirty[@]}"; do
	execute "$user" "CREATE TABLE note(text)"
	expect_status 200
done
wait_until 30 users_are $((clean + ${#dirty[@]})) ok
# New workers have nothing open, so what is open is being served.
mapfile -t before < <(workers)
reload_holdfast
wait_until 30 workers_replaced "${before[@]}"
store_log_clear

# No upload is over when TERM comes.
store_answers slowly 3000
hold_lock emil
write_patiently emil &
writing=$!
wait_until 5 is_open emil
for user in anna bert cleo dora; do
	execute "$user" "INSERT INTO note VALUES ('$user')"
	expect_status 200
done
users_are 4 dirty || fail "not four are dirty"
release_when_stopping &
releasing=$!
stop_holdfast
wait_all "$writing" "$releasing"

[ "$STATUS" = 0 ] || fail "stopped with status $STATUS"
[ "$MS" -lt "$deadline" ] || fail "took $MS ms, want less than $deadline"
[ "$(cat "$stack/answered")" = 200 ] || fail "the request under way got no answer"
[ "$(log_lines worker.kill)" = 0 ] || fail "a worker had to be killed"
expect_store_calls ${#dirty[@]} PUT
store_answers normally
for user in "${dirty[@]}"; do
	expect_store_calls 1 PUT "/$user/"
	expect_restored_equals_local "$user"
	expect_rows_in "$restored" "SELECT text FROM note" "$user"
done
finish
