#!/bin/bash
# Goal: every user's database gets the numbered migrations it has not had before its user
# meets it; one that fails leaves that user's at the version before and says so.
. "$(dirname "$0")/lib.sh"

migration() {
	echo "$2" >"$migrations/$1"
}

start_stack
execute alice "CREATE TABLE own(x)"
expect_status 200
wait_until 10 sync_clean alice
stop_holdfast

migrations=$stack/migrations
mkdir "$migrations"
migration 0001-note.sql "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
migration 0003-gap.sql "SELECT 1"
export HOLDFAST_MIGRATIONS=$migrations
! holdfast check >"$stack/said" || fail "a gap between the numbers was accepted"
grep -q 'FAILED *migrations *there is no number 2' "$stack/said" || fail "$(cat "$stack/said")"
rm "$migrations/0003-gap.sql"
start_holdfast

# Who was there before, and who is new; nobody has to write first.
expect_rows alice "SELECT count(*) FROM note" 0
expect_rows bob "SELECT count(*) FROM note" 0
for user in alice bob; do
	expect_rows $user "PRAGMA user_version" 1
	wait_until 10 sync_clean $user
	expect_restored_equals_local $user
done
execute alice "PRAGMA user_version=7"
expect_status 400
expect_json .code SQLITE_AUTH

# What alice has done to her database is in the way of the next one, nobody else's.
execute alice "CREATE TABLE tag(name)"
expect_status 200
migration 0002-tag.sql "ALTER TABLE note ADD COLUMN at; CREATE TABLE tag(name)"
mapfile -t before < <(workers)
reload_holdfast
wait_until 30 workers_replaced "${before[@]}"
expect_rows bob "SELECT count(*) FROM tag" 0
execute alice "SELECT 1"
expect_status 500
expect_json .code MIGRATION_FAILED
expect_json .message 'migration 2 failed and was undone: the database is at version 1'
[ "$(sqlite3 "$(local_file alice)" "SELECT count(*) FROM pragma_table_info('note')")" = 2 ] ||
	fail "half of a migration has stayed"
get alice /v1/sync
expect_status 200

# By hand, for all at once, and pushed.
stop_holdfast
! holdfast migrate --all >"$stack/said" || fail "success was said of a migration that fails"
grep -qx 'ok bob version=2' "$stack/said" || fail "$(cat "$stack/said")"
grep -q '^failed alice version=1 (migration 2: ' "$stack/said" || fail "$(cat "$stack/said")"
migration 0002-tag.sql "ALTER TABLE note ADD COLUMN at; CREATE TABLE IF NOT EXISTS tag(name)"
migration 0003-index.sql "CREATE INDEX by_name ON tag(name)"
holdfast migrate --all >"$stack/said" || fail "$(cat "$stack/said")"
grep -qx 'migrated alice from=1 to=3' "$stack/said" || fail "$(cat "$stack/said")"
grep -qx '2 users: 0 ok, 2 migrated, 0 failed' "$stack/said" || fail "$(cat "$stack/said")"
for user in alice bob; do
	expect_restored_equals_local $user
	expect_rows_in "$restored" "PRAGMA user_version" 3
done
holdfast migrate bob | grep -qx 'ok bob version=3' || fail "done twice"
start_holdfast
expect_rows alice "SELECT count(*) FROM pragma_table_info('note')" 3

# A database from outside may be an old one, whichever workers have seen the new one.
for _ in 1 2 3 4 5 6; do
	expect_rows alice "PRAGMA user_version" 3
done
sqlite3 "$stack/old.db" "CREATE TABLE note(id INTEGER PRIMARY KEY, text); PRAGMA user_version=1"
request alice PUT /v1/import --data-binary "@$stack/old.db"
expect_status 200
for _ in 1 2 3 4 5 6; do
	expect_rows alice "SELECT count(*) FROM pragma_table_info('note')" 3
done
finish
