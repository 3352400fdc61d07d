#!/bin/bash
# Goal: TERM while the store says nothing: the request under way is answered, however
# late it ends the program does so by itself within the deadline, and after the restart
# everything is pushed with no request (K10).
. "$(dirname "$0")/lib.sh"
deadline=5000
# Silence alone would last longer.
export HOLDFAST_SHUTDOWN_MS=$deadline HOLDFAST_SILENCE_TIMEOUT_MS=12000
users=(alice bob carol)

# Another program holds the user's write lock until release_lock.
hold_lock() {
	mkfifo "$stack/lock.in"
	timeout 30 sqlite3 -cmd '.dbconfig no_ckpt_on_close on' "$(local_file "$1")" \
		<"$stack/lock.in" >"$stack/lock.out" 2>&1 &
	exec 9>"$stack/lock.in"
	echo "BEGIN IMMEDIATE; SELECT 'held';" >&9
	wait_until 10 grep -q held "$stack/lock.out"
}

release_lock() {
	printf 'ROLLBACK;\n.quit\n' >&9
}

# Writes, for which the lock is needed; how that went is in a file, since this is a
# process of its own.
write_patiently() {
	execute "$1" "INSERT INTO note VALUES ('$1')"
	echo "$STATUS" >"$stack/answered"
}

# A worker has the user's database open; a predicate
is_open() {
	local pid

	for pid in $(workers); do
		if find "/proc/$pid/fd" -lname "*/$1/db.sqlite" 2>/dev/null | grep -q .; then
			return 0
		fi
	done
	return 1
}

is_stopping() {
	grep -q ' master.stop ' "$stack/here/holdfast.log"
}

release_when_stopping() {
	wait_until 10 is_stopping
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
! grep -q ' worker.kill ' "$stack/here/holdfast.log" || fail "a worker had to be killed"

store_answers normally
start_holdfast
for user in "${users[@]}"; do
	wait_until 20 restored_has "$user" "SELECT text FROM note" "$user"
done
finish
