#!/bin/bash
# Goal: a PUT whose connection is reset and which the store applies only later, before or
# after we have tried again with more in it: no conflict, no hole, no TXID with two
# contents, no row lost.
. "$(dirname "$0")/lib.sh"

expect_in_step() {
	wait_until 20 sync_clean "$1"
	expect_rows "$1" "SELECT count(*) FROM note" "$2"
	expect_restored_equals_local "$1"
	expect_litestream_restores "$1"
	! grep -q ' push.conflict ' "$stack/here/holdfast.log" || fail "it was taken for a conflict"
}

refused_puts() {
	store_log | jq -s "[.[] | select(.method == \"PUT\" and .store_status == 412 and (.path | contains(\"/$1/\")))] | length"
}

late_put_came() {
	[ "$(refused_puts after)" -ge 1 ]
}

start_stack
for user in before after; do
	execute "$user" "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
	wait_until 10 sync_clean "$user"
done

# It is there when we ask: adopted, and what was committed since is the next one.
store_answers '{"action":"late","method":"PUT","path":"/u/before/","ms":100,"times":1}'
execute before "INSERT INTO note(text) VALUES ('1')"
expect_status 200
execute before "INSERT INTO note(text) VALUES ('2')"
expect_status 200
expect_in_step before 2

# The next attempt, with one row more, comes first; the late one finds its place taken.
store_log_clear
store_answers '{"action":"late","method":"PUT","path":"/u/after/","ms":3000,"times":1}'
execute after "INSERT INTO note(text) VALUES ('1')"
expect_status 200
execute after "INSERT INTO note(text) VALUES ('2')"
expect_status 200
wait_until 10 sync_clean after

wait_until 10 late_put_came
expect_in_step after 2
execute after "INSERT INTO note(text) VALUES ('3')"
expect_in_step after 3
finish
