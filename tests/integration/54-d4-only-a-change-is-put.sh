#!/bin/bash
# Goal: what is rolled back or changes nothing costs no PUT; a write costs one,
# however it is written: several statements, a CTE, a comment in front (D4).
. "$(dirname "$0")/lib.sh"
start_stack
sequence alice "CREATE TABLE note(id INTEGER PRIMARY KEY, text NOT NULL UNIQUE);
	INSERT INTO note VALUES (1, 'one')"
wait_until 10 sync_clean alice
commits=$(jq .local_commits "$BODY")

expect_nothing_to_push() {
	wait_until 10 sync_clean alice
	expect_json .local_commits "$commits"
	expect_store_calls 0
}

expect_one_put() {
	wait_until 10 sync_clean alice
	commits=$((commits + 1))
	expect_json .local_commits "$commits"
	expect_store_calls 1 PUT
	expect_store_calls 1
	store_log_clear
}

store_log_clear
for sql in \
	"SELECT * FROM note" \
	"UPDATE note SET text = 'x' WHERE id = 7" \
	"DELETE FROM note WHERE 0" \
	"INSERT OR IGNORE INTO note VALUES (1, 'again')" \
	"CREATE TABLE IF NOT EXISTS note(x)" \
	"DROP TABLE IF EXISTS absent" \
	"PRAGMA user_version" \
	"BEGIN IMMEDIATE; INSERT INTO note VALUES (2, 'two'); ROLLBACK" \
	"BEGIN IMMEDIATE; COMMIT"; do
	sequence alice "$sql"
	expect_nothing_to_push
done
execute alice "INSERT INTO note VALUES (1, 'taken')"
expect_status 400
expect_nothing_to_push
execute alice "INSERT INTO note SELECT 2, 'two' UNION ALL SELECT 3, NULL"
expect_status 400
expect_nothing_to_push
# Left open, and so rolled back with its stream.
pipeline alice '{"requests": [
	{"type": "sequence", "sql": "BEGIN IMMEDIATE; INSERT INTO note VALUES (2, '"'"'left open'"'"')"},
	{"type": "close"}]}'
expect_status 200
expect_nothing_to_push
expect_rows alice "SELECT * FROM note" '1|one'

for sql in \
	"BEGIN; INSERT INTO note VALUES (2, 'two'); UPDATE note SET text = 'eins' WHERE id = 1; COMMIT" \
	"WITH n(i) AS (VALUES(3) UNION ALL SELECT i + 1 FROM n WHERE i < 5) INSERT INTO note SELECT i, i FROM n" \
	"-- SELECT 1
	/* of all; */ INSERT INTO note VALUES (6, 'six')" \
	"SELECT 1; INSERT INTO note VALUES (7, 'seven'); SELECT 2" \
	"PRAGMA user_version = 7"; do
	sequence alice "$sql"
	expect_one_put
done
query alice "INSERT INTO note VALUES (8, 'eight') RETURNING id" >/dev/null
expect_one_put
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT group_concat(id, '') FROM note" 12345678
finish
