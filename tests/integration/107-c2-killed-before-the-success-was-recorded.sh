#!/bin/bash
# Goal: the PUT is applied, and everything is killed with -9 before its answer
# could be recorded; a write that came meanwhile, and one after the restart, are
# stored too, nothing twice, and there is no conflict (C2).
. "$(dirname "$0")/lib.sh"
start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
objects=1

is_stored_unanswered() {
	store_is_busy PUT && store_objects_are $((objects + 1)) alice
}

for after in nothing write outage; do
	store_answers '{"action":"delay","method":"PUT","after_ms":20000,"times":1}'
	execute alice "INSERT INTO note VALUES ('$after: stored')"
	expect_status 200
	wait_until 10 is_stored_unanswered
	if [ "$after" = write ]; then
		execute alice "INSERT INTO note VALUES ('$after: meanwhile')"
		expect_status 200
	fi
	kill_holdfast_hard
	objects=$((objects + 1))
	[ "$after" != write ] || objects=$((objects + 1))
	store_answers normally
	if [ "$after" = outage ]; then
		store_answers refused
	fi
	start_holdfast
	if [ "$after" = outage ]; then
		wait_until 10 sync_failed alice
		execute alice "INSERT INTO note VALUES ('$after: meanwhile')"
		expect_status 200
		objects=$((objects + 1))
		store_answers normally
	fi
	wait_until 10 sync_clean alice
	wait_until 5 store_objects_are "$objects" alice
	expect_restored_equals_local alice
done
grep -q push.conflict "$stack/here/holdfast.log" && fail "a conflict with ourselves"
[ "$(grep -c push.adopted "$stack/here/holdfast.log")" -ge 1 ] || fail "nothing was adopted"
expect_rows alice "SELECT count(*) FROM note" 5
expect_litestream_restores alice
finish
