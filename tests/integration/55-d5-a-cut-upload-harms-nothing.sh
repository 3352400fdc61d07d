#!/bin/bash
# Goal: when the connection breaks in the middle of an upload, at whatever byte,
# what was restorable before still is, and nothing half is in the store (D5).
. "$(dirname "$0")/lib.sh"
start_stack

# The very first object, too: then there is no such user yet.
store_answers '{"action":"cut-request","method":"PUT","after":150}'
execute alice "CREATE TABLE note(text, filling)"
expect_status 200
wait_until 10 sync_failed alice
restore alice
[ "$STATUS" = 1 ] || fail "half a first object restores"
grep -q "nothing of user" "$stack/restored/alice.out" || fail "there is something of this user"
store_answers normally
wait_until 10 sync_clean alice
execute alice "INSERT INTO note VALUES ('stored', NULL)"
wait_until 10 sync_clean alice
keys=$(store_object_keys alice)

for cut in 0:reset 1:close 99:reset 100:close 2000:reset 15000:close; do
	store_answers "{\"action\":\"cut-request\",\"method\":\"PUT\",\"after\":${cut%:*},\"how\":\"${cut#*:}\"}"
	store_log_clear
	execute alice "INSERT INTO note VALUES ('cut at $cut', randomblob(20000))"
	expect_status 200
	wait_until 10 store_calls_reach 1 PUT
	wait_until 10 sync_failed alice
	[ "$(store_object_keys alice)" = "$keys" ] || fail "something is in the store, cut at $cut"
done
restore alice
[ "$STATUS" = 0 ] || fail "what was restorable is not: $(cat "$stack/restored/alice.out")"
expect_sound "$restored"
expect_rows_in "$restored" "SELECT text FROM note" stored

store_answers normally
wait_until 10 sync_clean alice
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 7
finish
