#!/bin/bash
# Goal: while transactions over several pages run without a pause from two
# clients, 300 pushes go out, fast ones and throttled ones; each of them restores
# to a sound database as it was after exactly one transaction (D1).
. "$(dirname "$0")/lib.sh"
start_stack

# Every transaction takes all the parts, each on a page of its own, one step
# further and makes a line in the log.  Whatever is torn has parts of two steps.
sequence alice "BEGIN;
	CREATE TABLE part(id INTEGER PRIMARY KEY, step, filling);
	CREATE TABLE log(step PRIMARY KEY, text);
	WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 4)
	INSERT INTO part SELECT i, 0, randomblob(3000) FROM n;
	INSERT INTO log VALUES (0, '');
	COMMIT"
step=$(jq -cn '{requests: [{type: "sequence", sql: "BEGIN IMMEDIATE;
	UPDATE part SET step = step + 1, filling = randomblob(3000) WHERE id % 2 = 1;
	INSERT INTO log SELECT max(step), hex(randomblob(100)) FROM part;
	UPDATE part SET step = step + 1, filling = randomblob(3000) WHERE id % 2 = 0;
	COMMIT"}]}')

# push_until TXID: two clients, until so many pushes are in the store.
push_until() {
	touch "$stack/go"
	for _ in 1 2; do
		while [ -e "$stack/go" ]; do
			post_times 20 alice /v2/pipeline "$step"
		done &
		clients+=($!)
	done
	wait_until 100 txid_reaches "$1" alice
	rm "$stack/go"
	wait_all "${clients[@]}"
	clients=()
}

clients=()
push_until 240
store_answers throttled 300000
push_until 300
store_answers normally
wait_until 20 sync_clean alice
expect_restored_equals_local alice

# From a copy, or 45,000 objects would go through the proxy.
s3 mirror u/ "$stack/copy"
objects=("$stack"/copy/alice/0000/*.ltx)
last=0
for ((txid = 1; txid <= ${#objects[@]}; txid++)); do
	restore alice --txid "$txid" --store "file:$stack/copy"
	[ "$STATUS" = 0 ] || fail "TXID $txid: $(cat "$stack/restored/alice.out")"
	seen=$(sqlite3 -readonly "$restored" 'PRAGMA integrity_check;
		SELECT count(*), min(step), max(step) FROM part; SELECT count(*) - 1, max(step) FROM log' | xargs)
	read -r sound parts log <<<"$seen"
	now=${parts##*|}
	[ "$sound $parts $log" = "ok 4|$now|$now $now|$now" ] || fail "TXID $txid is torn: $seen"
	[ "$now" -ge "$last" ] || fail "TXID $txid is step $now, after step $last"
	last=$now
done
[ "$txid" -gt 300 ] || fail "only $((txid - 1)) pushes"
expect_rows alice 'SELECT max(step) FROM part' "$last"
finish
