#!/bin/bash
# Goal: an object that is stored while the answer to its PUT is lost, once or
# every time, in whatever way, is recognised as our own: no conflict, no row
# lost, nothing stored twice (C1).
. "$(dirname "$0")/lib.sh"
start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
want=

# write_and_settle TEXT: its PUT is stored and the answer is lost in this weather.
write_and_settle() {
	execute alice "INSERT INTO note VALUES ('$1')"
	expect_status 200
	wait_until 20 sync_clean alice
	want+=${want:+$'\n'}$1
}

for how in reset close half-status silence; do
	store_answers "{\"action\":\"lose-answer\",\"method\":\"PUT\",\"times\":1,\"how\":\"$how\"}"
	write_and_settle "once $how"
done
store_answers '{"action":"status-though-stored","method":"PUT","status":500,"times":1}'
write_and_settle "once 500"
wait_until 10 store_objects_are 6 alice

store_answers lost
for n in 1 2 3 4 5; do
	write_and_settle "always $n"
done
store_objects_are 11 alice || fail "5 writes are $(store_object_keys alice | wc -l) - 6 objects"

# Silence settles nothing, so the user is flagged; what is there is adopted afterwards.
store_answers '{"action":"lose-answer","method":"PUT","how":"silence"}'
execute alice "INSERT INTO note VALUES ('always silence')"
expect_status 200
want+=$'\nalways silence'
wait_until 10 sync_failed alice
store_objects_are 12 alice || fail "the silent PUT was not stored"
store_answers normally
wait_until 10 sync_clean alice
store_objects_are 12 alice || fail "what was there has been stored again"

write_and_settle "the end"
expect_restored_equals_local alice
expect_rows_in "$restored" 'SELECT text FROM note ORDER BY rowid' "$want"
finish
