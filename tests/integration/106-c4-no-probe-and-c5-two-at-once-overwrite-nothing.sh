#!/bin/bash
# Goal: another host has pushed since, and our question whose object that is
# fails in every way while PUTs work: nothing is overwritten, nobody is told of a
# conflict before it is known, and of none where the object was our own (C4).
# Two hosts write from the same base and their PUTs meet in the store: one wins,
# the other is told, round after round, and TXIDs only grow (C5).
. "$(dirname "$0")/lib.sh"
export HOLDFAST_SILENCE_TIMEOUT_MS=1000
start_stack
start_host there
on_host here
sequence alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
on_host there
expect_rows alice "SELECT count(*) FROM note" 0
txid=1

# Of all objects there are, so that one that is replaced is found.
sums() {
	rm -rf "$stack/objects"
	s3 mirror u/ "$stack/objects"
	(cd "$stack/objects" && find . -type f -exec sha256sum {} + | sort)
}

expect_nothing_replaced() {
	sums >"$stack/sums.now"
	[ -z "$(comm -23 "$stack/sums" "$stack/sums.now")" ] || fail "an object was replaced: $(diff "$stack/sums" "$stack/sums.now")"
	cp "$stack/sums.now" "$stack/sums"
	store_objects_are "$txid" alice || fail "there are $(store_object_keys alice | wc -l) objects, want $txid"
}
sums >"$stack/sums"

# resolve KEEP: the one who lost, on the current host.
resolve() {
	wait_until 10 sync_conflict alice
	post alice /v1/sync/resolve "{\"keep\":\"$1\"}"
	expect_status 200
	wait_until 10 sync_clean alice
}

# ---- C4
for fault in '"action":"status","status":500' '"action":"cut-answer","after":50' \
	'"action":"read-then-silent"' '"action":"status","status":404,"code":"NoSuchKey"'; do
	on_host there
	execute alice "INSERT INTO note VALUES ('there')"
	expect_status 200
	wait_until 10 sync_clean alice
	txid=$((txid + 1))
	store_answers "{$fault,\"method\":\"GET\"}"
	on_host here
	store_log_clear
	execute alice "INSERT INTO note VALUES ('here')"
	expect_status 200
	wait_until 10 sync_flagged_for 2 alice
	expect_header X-Sync-Status failed
	[ "$(store_log | jq -r 'select(.method == "PUT") | .status' | sort -u)" = 412 ] || fail "a PUT was not refused"
	expect_nothing_replaced
	store_answers normally
	resolve remote
	expect_rows alice "SELECT count(*) FROM note WHERE text = 'here'" 0
	expect_nothing_replaced
done

# The object there is our own, and so there is none.
store_answers '[{"action":"status","status":500,"method":"GET"},{"action":"lose-answer","method":"PUT","times":1}]'
execute alice "INSERT INTO note VALUES ('ours')"
expect_status 200
txid=$((txid + 1))
wait_until 10 sync_flagged_for 2 alice
expect_header X-Sync-Status failed
expect_nothing_replaced
store_answers normally
wait_until 10 sync_clean alice
expect_nothing_replaced

# ---- C5
for round in 1 2 3 4; do
	# Whoever lost has been brought to the winner's state; the winner is in step.
	on_host there
	if [ "$round" = 1 ]; then
		execute alice "INSERT INTO note VALUES ('stale')"
		resolve remote
		expect_nothing_replaced
	fi
	store_answers '{"action":"delay","method":"PUT","before_ms":400}'
	store_log_clear
	writers=()
	for host in here there; do
		(
			execute alice "INSERT INTO note VALUES ('$host in round $round')"
			expect_status 200
		) &
		writers+=($!)
	done
	wait_all "${writers[@]}"
	loser=''
	for ((tries = 0; tries < 100; tries++)); do
		for host in here there; do
			! sync_conflict alice || loser=$host
		done
		[ -z "$loser" ] || break
		sleep 0.05
	done
	[ -n "$loser" ] || fail "nobody has lost in round $round"
	[ "$(store_most_puts alice)" = 2 ] || fail "the two PUTs have not met in round $round"
	store_answers normally
	[ "$loser" = here ] && winner=there || winner=here
	on_host "$winner"
	wait_until 10 sync_clean alice
	txid=$((txid + 1))
	expect_nothing_replaced
	expect_restored_equals_local alice
	on_host "$loser"
	resolve remote
	expect_rows alice "SELECT group_concat(text) FROM note WHERE text LIKE '%round $round'" "$winner in round $round"
	# The loser's own is kept.
	kept=$(find "$(data)"/users/*/alice/kept -name '*.sqlite' | sort | tail -n 1)
	expect_rows_in "$kept" "SELECT count(*) FROM note WHERE text = '$loser in round $round'" 1
done
[ "$(store_object_keys alice | sed 's|.*/0*\([0-9a-f]*\)-.*|\1|' | tr '\n' ' ')" = \
	"$(for ((n = 1; n <= txid; n++)); do printf '%x ' "$n"; done)" ] || fail "the TXIDs are $(store_object_keys alice)"
expect_litestream_restores alice
finish
