#!/bin/bash
# Goal: HOLDFAST_ON_CONFLICT=remote: the store fails while the other history is
# fetched, and then the program dies; it is fetched when the store is back, with
# no request from anybody, and until then the store is not asked all the time.
. "$(dirname "$0")/lib.sh"

export HOLDFAST_ON_CONFLICT=remote
start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
start_host there
execute alice "INSERT INTO note VALUES ('there')"
expect_status 200
wait_until 10 sync_clean alice
on_host here

lists() {
	store_calls GET 'holdfast/?$'
}
listed() {
	[ "$(lists)" -ge 1 ]
}
pull_failed() {
	grep -q 'pull.failed user=alice' "$stack/here/holdfast.log"
}

store_log_clear
store_answers '{"action":"status","status":503,"method":"GET","path":"holdfast/?$"}'
execute alice "INSERT INTO note VALUES ('here')"
expect_status 200
wait_until 10 pull_failed
began=$(now_ms)
until [ $(($(now_ms) - began)) -gt 3000 ]; do
	sync_conflict alice || fail "there is no conflict any more"
	sleep 0.1
done
[ "$(lists)" -le 12 ] || fail "$(lists) lists in 3 s"
# A restart knows the conflict from the disk and the decision from the configuration.
kill_holdfast_hard
start_holdfast
store_answers normally
kept() {
	[ -e "$(echo "$(data)"/users/*/alice/kept/*.sqlite)" ]
}
wait_until 10 kept
wait_until 10 is_served alice
expect_rows alice "SELECT group_concat(text) FROM note" there
finish
