#!/bin/bash
# Goal: `PUT /v1/import` puts a SQLite file in the place of what the caller's database
# holds, in one transaction that is pushed like any; a file that is none, damaged, too
# large or cut changes nothing and is told from the others.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_MAX_DB_BYTES=4MiB HOLDFAST_MAX_IMPORT_BYTES=8MiB HOLDFAST_LOCK_WAIT_MS=1000
export HOLDFAST_SILENCE_TIMEOUT_MS=1000
start_stack

# import_file USER FILE [CURL_ARGUMENTS...]
import_file() {
	request "$1" PUT /v1/import --data-binary "@$2" -H 'Content-Type: application/vnd.sqlite3' "${@:3}"
}

# expect_imported USER FILE: what is here now is what is in the file.
expect_imported() {
	expect_status 200
	expect_sound "$(local_file "$1")"
	diff <(local_dump "$1") <(dump "$2") >"$stack/difference" ||
		fail "what was imported is not the file: $(head -c 1000 "$stack/difference")"
}

# expect_unchanged: after a refusal, alice has what she had.
expect_unchanged() {
	[ "$(local_dump alice | md5sum)" = "$before" ] || fail "alice's database has changed"
}

# make_file NAME [PRAGMA]: in $file
make_file() {
	file=$stack/$1.db
	rm -f "$file"
	sqlite3 "$file" "${2:-}; CREATE TABLE note(id INTEGER PRIMARY KEY, text UNIQUE);
		WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
		INSERT INTO note SELECT i, '$1 ' || i FROM n; CREATE VIEW last AS SELECT max(id) FROM note;
		CREATE TRIGGER log AFTER INSERT ON note BEGIN UPDATE note SET text = text || '!' WHERE id = new.id; END;" >/dev/null
}

execute alice "CREATE TABLE old(text)"
wait_until 10 sync_clean alice
get alice /v1/sync
txid=$(jq .remote_txid "$BODY")

# A file, for somebody who has a database already; its history stays.
make_file small
import_file alice "$file"
expect_imported alice "$file"
expect_json .bytes "$(stat -c %s "$file")"
expect_rows alice "SELECT * FROM last" 1000
wait_until 10 sync_clean alice
expect_restored_equals_local alice
restore alice --txid "$txid"
expect_rows_in "$restored" "SELECT name FROM sqlite_schema" old
execute alice "INSERT INTO note VALUES (1001, 'more')"
expect_rows alice "SELECT text FROM note WHERE id = 1001" 'more!'

# Of another page size, in WAL mode (whose WAL is gone), for a new user; smaller than before.
for pages in 512 65536; do
	make_file "pages$pages" "PRAGMA page_size=$pages"
	import_file alice "$file"
	expect_imported alice "$file"
done
make_file wal "PRAGMA journal_mode=WAL"
[ "$(od -An -tu1 -j18 -N2 "$file" | xargs)" = "2 2" ] || fail "the file is not in WAL mode"
import_file alice "$file"
expect_imported alice "$file"
make_file vacuum "PRAGMA auto_vacuum=FULL"
import_file alice "$file"
expect_imported alice "$file"
execute alice "DELETE FROM note WHERE id > 500"
expect_sound "$(local_file alice)"
import_file newcomer "$file" -H "Prefer: wait=10"
expect_imported newcomer "$file"
expect_header Preference-Applied wait
expect_restored_equals_local newcomer
sqlite3 "$stack/tiny.db" "CREATE TABLE t(x)"
import_file alice "$stack/tiny.db"
expect_imported alice "$stack/tiny.db"
get alice /v1/export
cp "$BODY" "$stack/exported.db"
import_file bob "$stack/exported.db"
expect_status 200
expect_rows bob "SELECT name FROM sqlite_schema" t
wait_until 10 sync_clean alice
expect_restored_equals_local alice
expect_litestream_restores alice

# What is refused.
before=$(local_dump alice | md5sum)
make_file good
# refused FILE STATUS CODE
refused() {
	import_file alice "$1"
	expect_refused "$2" "$3"
	expect_unchanged
}
: >"$stack/empty"
refused "$stack/empty" 400 NOT_A_DATABASE
echo "CREATE TABLE note(text);" >"$stack/text"
refused "$stack/text" 400 NOT_A_DATABASE
head -c 100000 /dev/urandom >"$stack/noise"
refused "$stack/noise" 400 NOT_A_DATABASE
head -c 99 "$file" >"$stack/stub"
refused "$stack/stub" 400 NOT_A_DATABASE
head -c $(($(stat -c %s "$file") / 2)) "$file" >"$stack/half"
refused "$stack/half" 400 DATABASE_DAMAGED

# overwrite OFFSET BYTES: a copy of the good file in $stack/damaged, as printf writes them
overwrite() {
	cp "$file" "$stack/damaged"
	# shellcheck disable=SC2059
	printf "$2" | dd of="$stack/damaged" bs=1 seek="$1" conv=notrunc status=none
}
overwrite 16 '\003\003'
refused "$stack/damaged" 400 NOT_A_DATABASE
overwrite 19 '\007'
refused "$stack/damaged" 400 NOT_A_DATABASE
overwrite 100 'XXXXXXXX'
refused "$stack/damaged" 400 DATABASE_DAMAGED
overwrite $((4096 + 3)) '\377\377\377\377'
refused "$stack/damaged" 400 DATABASE_DAMAGED
cp "$file" "$stack/damaged"
sqlite3 "$stack/damaged" "PRAGMA writable_schema=ON;
	UPDATE sqlite_schema SET sql = 'CREATE TABLE note(' WHERE name = 'note'"
refused "$stack/damaged" 400 DATABASE_DAMAGED
cp "$file" "$stack/damaged"
sqlite3 -cmd '.dbconfig defensive off' "$stack/damaged" "PRAGMA writable_schema=ON;
	UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'note') WHERE type = 'index'"
refused "$stack/damaged" 400 DATABASE_DAMAGED
make_file utf16 "PRAGMA encoding='UTF-16'"
refused "$file" 400 ENCODING_UNSUPPORTED
# Too large: for a database, for an import, for nginx.
sqlite3 "$stack/large.db" "CREATE TABLE t(x); INSERT INTO t VALUES (randomblob(5000000))"
refused "$stack/large.db" 507 SQLITE_FULL
head -c 9000000 /dev/zero >"$stack/zeros"
refused "$stack/zeros" 413 BODY_TOO_LARGE

# Who may not.
make_file good
(cd "$stack" && holdfast token alice --ro) >"$stack/ro"
import_file - "$file" -H "Authorization: Bearer $(cat "$stack/ro")"
expect_refused 403 READ_ONLY
import_file - "$file"
expect_refused 401 UNAUTHORIZED
request alice GET /v1/import
expect_status 405
expect_header Allow "PUT, OPTIONS"
request alice OPTIONS /v1/import -H 'Origin: https://app.example'
expect_status 204
[[ $(header Access-Control-Allow-Methods) == *PUT* ]] || fail "a browser may not import"
expect_unchanged

# The transfer is cut.
import_file alice "$file" --limit-rate 20000 --max-time 1
expect_status 000
expect_unchanged

# Somebody else is writing: it waits in line like any writer, then says so.
stream_begin alice "BEGIN IMMEDIATE"
import_file alice "$file"
expect_refused 503 BUSY
expect_header Retry-After 1
expect_unchanged
(
	import_file alice "$file"
	echo "$STATUS" >"$stack/imported"
) &
importer=$!
token alice >/dev/null
sleep 0.3
stream_go_on alice ROLLBACK "$close_stream"
wait_all "$importer"
[ "$(cat "$stack/imported")" = 200 ] || fail "who waited for the lock got $(cat "$stack/imported")"
expect_rows alice "SELECT count(*) FROM note" 1000

# Readers see the old or the new, all in all workers.
make_file other
sqlite3 "$file" "DELETE FROM note WHERE id > 700; VACUUM"
other=$file
good=$stack/good.db
(
	while [ ! -e "$stack/enough" ]; do
		query alice "SELECT count(*), min(text), max(text) FROM note"
	done
) >"$stack/seen" &
reader=$!
rounds=0
until [ "$(sort -u "$stack/seen" | wc -l)" -gt 1 ]; do
	import_file alice "$other"
	expect_status 200
	import_file alice "$good"
	expect_status 200
	[ "$((rounds += 1))" -lt 50 ] || fail "readers have seen $(sort -u "$stack/seen")"
done
touch "$stack/enough"
wait_all "$reader"
seen=$(sort -u "$stack/seen")
[ "$seen" = $'1000|good 1|good 999\n700|other 1|other 99' ] || fail "readers have seen $seen"

# While the store is silent it is told like any write, and goes out later.
store_answers silent
import_file alice "$other"
expect_imported alice "$other"
wait_until 10 sync_failed alice
store_answers normally
wait_until 20 sync_clean alice
expect_restored_equals_local alice
finish
