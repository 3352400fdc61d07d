#!/bin/bash
# Goal: a database that has grown, by many rows, by large values, and by several
# hundred pushes over more than one checkpoint, restores byte for byte with the
# official Litestream reader (D6).
. "$(dirname "$0")/lib.sh"
start_stack

wal_salt() {
	od -An -tx1 -j16 -N8 "$(local_file alice)-wal"
}

sequence alice "CREATE TABLE note(id INTEGER PRIMARY KEY, text, filling);
	CREATE INDEX note_text ON note(text)"
salt=$(wal_salt)
sequence alice "WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
	INSERT INTO note SELECT i, hex(randomblob(20)), NULL FROM n"
for size in 1000000 3000000; do
	execute alice "INSERT INTO note(text, filling) VALUES ('large', randomblob($size))"
	expect_status 200
done
wait_until 30 sync_clean alice
expect_litestream_restores alice

insert=$(jq -cn '{stmt: {sql:
	"INSERT INTO note(text, filling) VALUES (hex(randomblob(20)), randomblob(9000))"}}')
for _ in {1..200}; do
	post_times 25 alice /v1/execute "$insert"
	! txid_reaches 300 alice || break
done
wait_until 30 sync_clean alice
txid_reaches 300 alice || fail "only $(jq .remote_txid "$BODY") pushes"
[ "$(wal_salt)" != "$salt" ] || fail "there was no checkpoint"
expect_litestream_restores alice
expect_restored_equals_local alice
cmp "$restored" "$stack/litestream/alice.db" || fail "Litestream restores other bytes"

# One transaction of ${LARGE_MB:-40} MB; the whole scenario has 200.
sequence alice "WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < ${LARGE_MB:-40})
	INSERT INTO note(text, filling) SELECT 'large', randomblob(1000000) FROM n"
wait_until 60 sync_clean alice
expect_litestream_restores alice
expect_restored_equals_local alice
cmp "$restored" "$stack/litestream/alice.db" || fail "Litestream restores other bytes"
finish
