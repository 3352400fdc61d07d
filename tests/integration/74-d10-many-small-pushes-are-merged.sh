#!/bin/bash
# Goal: hundreds of small pushes to a database that is large beside them are merged, for a
# snapshot would weigh too much; both readers restore from the merges, and every
# transaction is still there as long as the retention wants it.
. "$(dirname "$0")/lib.sh"

merges() {
	store_object_keys alice | grep -c /0001/ || true
}

merges_are() {
	[ "$(merges)" = "$1" ]
}

start_stack
execute alice "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
wait_until 10 sync_clean alice
sequence alice "INSERT INTO note(text) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT randomblob(3900) FROM n"
expect_status 200
wait_until 30 txid_reaches 2 alice

for i in $(seq 520); do
	execute alice "UPDATE note SET text = 'change $i' WHERE id = $((i % 50 + 1))"
	expect_status 200
	wait_until 10 txid_reaches $((i + 2)) alice
done
wait_until 10 merges_are 2
[ "$(store_object_keys alice | grep -c /0009/)" = 0 ] || fail "a snapshot was written"
expect_restored_equals_local alice
expect_litestream_restores alice

# What was merged is no longer fetched one by one.
store_log_clear
holdfast restore alice -o "$stack/latest.db"
gets=$(store_calls GET '\.ltx')
[ "$gets" -le 260 ] || fail "a restore of 522 transactions took $gets objects"
for txid in 100 257 258 300 522; do
	rm -f "$stack/then.db"
	holdfast restore alice --txid "$txid" -o "$stack/then.db"
	expect_rows_in "$stack/then.db" "SELECT text FROM note WHERE id = $(((txid - 2) % 50 + 1))" \
		"change $((txid - 2))"
done
finish
