#!/bin/bash
# Goal: a worker that is killed with -9 in the middle of an upload leaves no right
# and no state stuck: its user can write at once, and another worker finishes
# the push (K3).
. "$(dirname "$0")/lib.sh"
start_stack
execute alice "CREATE TABLE note(text, filling)"
wait_until 10 sync_clean alice

pushers() {
	sed -n 's/.* worker\[\([0-9]*\)\].* push.done user=alice .*/\1/p' "$stack/here/holdfast.log"
}

under_way() {
	store_is_busy PUT && [ "$(control GET /log | jq '.requests[-1].body_bytes')" -gt 10000 ]
}

for round in 1 2 3; do
	store_answers throttled 20000
	store_log_clear
	execute alice "INSERT INTO note VALUES ('$round', randomblob(200000))"
	expect_status 200
	wait_until 10 under_way
	before=$(workers)
	kill_worker_serving alice
	store_answers normally

	execute alice "INSERT INTO note VALUES ('$round, at once', NULL)"
	expect_status 200
	expect_faster_than 1000
	wait_until 10 sync_clean alice
	expect_restored_equals_local alice
	expect_rows_in "$restored" "SELECT count(*) FROM note" $((2 * round))
	[ "$(store_most_puts alice)" = 1 ] || fail "two PUTs of one user at once"
	process_ended "$(killed_of "$before")" || fail "nobody was killed"
done
[ "$(pushers | sort -u | wc -l)" -ge 2 ] || fail "no other worker has pushed"
finish
