#!/bin/bash
# Goal: objects that somebody removed from the store are noticed at the first look after a
# start and at each compaction.  Until a snapshot is there from which everything restores,
# the user is not shown as in step; TXIDs go on, with no restart at 1 and no hole; it is in
# the log and counted.
. "$(dirname "$0")/lib.sh"

key() {
	printf 'u/%s/0000/%016x-%016x.ltx' "$1" "$2" "$2"
}

snapshot() {
	printf "%s/0009/0000000000000001-%016x.ltx" "$1" "$2"
}

has() {
	[ "$(store_object_keys "$1" | grep -c "$2")" = 1 ]
}

gaps() {
	holdfast status --json | jq .store.gaps
}

told_missing() {
	sync_failed "$1" && [ "$(jq -r .last_error "$BODY")" = missing ]
}

start_stack
for user in all last none; do
	execute "$user" "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
	for i in 2 3 4; do
		wait_until 10 txid_reaches $((i - 1)) "$user"
		execute "$user" "INSERT INTO note(text) VALUES ('$i')"
		expect_status 200
	done
	wait_until 10 txid_reaches 4 "$user"
done
stop_holdfast
for i in 1 2 3 4; do
	s3 delete "$(key all "$i")"
done
s3 delete "$(key last 4)"

# The snapshot cannot be written: the user is told, however little was lost.
store_answers '{"action":"status","method":"PUT","status":503}'
start_holdfast
expect_rows last "SELECT count(*) FROM note" 3
wait_until 10 told_missing last
store_answers normally

for user in all last none; do
	expect_rows "$user" "SELECT count(*) FROM note" 3
done
for user in all last; do
	wait_until 10 has "$user" "$(snapshot "$user" 4)"
	wait_until 10 sync_clean "$user"
done
[ "$(gaps)" = 2 ] || fail "$(gaps) gaps were counted"
grep -q ' store.gap user=all txid=4' "$stack/here/holdfast.log" || fail "it is not in the log"
! store_object_keys none | grep /0009/ >&2 || fail "a snapshot where nothing was missing"
for user in all last none; do
	execute "$user" "INSERT INTO note(text) VALUES ('5')"
	expect_status 200
	wait_until 10 txid_reaches 5 "$user"
	has "$user" "$(printf '%s/0000/%016x-%016x.ltx' "$user" 5 5)" || fail "TXID 5 is not the next"
	wait_until 10 sync_clean "$user"
	expect_restored_equals_local "$user"
	expect_litestream_restores "$user"
done

# In the middle, while everything runs: the listing before a merge or after a snapshot sees it.
s3 delete "$(key none 3)"
for i in $(seq 260); do
	execute none "INSERT INTO note(text) VALUES ('$i')"
	expect_status 200
	wait_until 10 txid_reaches $((i + 5)) none
done
wait_until 20 sync_clean none
expect_restored_equals_local none
expect_litestream_restores none
finish
