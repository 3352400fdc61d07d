#!/bin/bash
# Goal: C5: a host comes back after another has gone on, and the store fails
# between the question whether it has and the answer what: the host is brought up
# to it when the store is back, with no request of its user and no conflict.
. "$(dirname "$0")/lib.sh"

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
stop_holdfast
start_host there
execute alice "INSERT INTO note VALUES ('there')"
expect_status 200
wait_until 10 sync_clean alice
stop_holdfast
on_host here

logged() {
	grep -q "$1 user=alice" "$stack/here/holdfast.log"
}
pulls() {
	grep -c 'pull.done user=alice' "$stack/here/holdfast.log"
}
pulled_again() {
	[ "$(pulls)" = 2 ]
}

store_answers '{"action":"status","status":503,"method":"GET","path":"holdfast/?$"}'
start_holdfast
is_served alice || fail "what is here is not served"
wait_until 10 logged pull.failed
store_answers normally
wait_until 10 pulled_again
expect_rows alice "SELECT text FROM note" there
execute alice "INSERT INTO note VALUES ('here')"
expect_status 200
wait_until 10 sync_clean alice
expect_restored_equals_local alice
finish
