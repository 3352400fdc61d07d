#!/bin/bash
# Goal: `GET /v1/export` is the caller's database as one file that opens alone with any
# SQLite, read-only, too, and is of one moment, whatever goes on meanwhile: writes, an
# open transaction, a store that is away, a conflict.
. "$(dirname "$0")/lib.sh"
large_mb=${LARGE_MB:-20} # a multiple of 20
export HOLDFAST_MAX_DB_BYTES=4GiB HOLDFAST_STATEMENT_TIMEOUT_MS=60000
start_stack

# export_of USER [CURL_ARGUMENTS...]: into $exported.
export_of() {
	get "$1" /v1/export "${@:2}"
	expect_status 200
	exported=$stack/exported.db
	rm -f "$exported"
	cp "$BODY" "$exported"
	chmod 0400 "$exported"
}

expect_export_equals_local() {
	export_of "$@"
	expect_sound "$exported"
	expect_same_dump "$1" "$exported"
}

execute alice "CREATE TABLE note(id INTEGER PRIMARY KEY, text)"
execute alice "INSERT INTO note(text) VALUES ('hello')"
expect_export_equals_local alice
expect_header Content-Type application/vnd.sqlite3
expect_header Content-Disposition 'attachment; filename="alice.sqlite"'
expect_header Content-Length "$(stat -c %s "$exported")"
expect_header Cache-Control no-store
# Neither 2 says that there may be a WAL.
[ "$(od -An -tu1 -j18 -N2 "$exported" | xargs)" = "1 1" ] || fail "the file is in WAL mode"

# Its length, for nothing.
length=$(stat -c %s "$exported")
request alice HEAD /v1/export --head
expect_status 200
expect_header Content-Length "$length"
request alice OPTIONS /v1/export
expect_status 204
request alice POST /v1/export
expect_status 405
expect_header Allow "GET, HEAD, OPTIONS"
get - /v1/export
expect_status 401

# A token that may only read.
(cd "$stack" && holdfast token alice --ro) >"$stack/ro"
get - /v1/export -H "Authorization: Bearer $(cat "$stack/ro")"
expect_status 200
cmp "$BODY" "$exported" || fail "a reading token gets another file"

# A new user has an empty one.
get newcomer /v1/export
expect_status 200
expect_rows_in "$BODY" "SELECT count(*) FROM sqlite_schema" 0

# What somebody's open transaction has written is not in it, and does not hold it up.
stream_begin alice "BEGIN IMMEDIATE" "INSERT INTO note(text) VALUES ('not yet')"
expect_export_equals_local alice
expect_rows_in "$exported" "SELECT count(*) FROM note" 1
stream_go_on alice ROLLBACK "$close_stream"

# Of one moment: two tables that only change together.
sequence alice "CREATE TABLE a(n); CREATE TABLE b(n); INSERT INTO a VALUES (0); INSERT INTO b VALUES (0);
	CREATE TABLE filling(x); WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
	INSERT INTO filling SELECT randomblob(1000) FROM n"
(
	while [ ! -e "$stack/enough" ]; do
		sequence alice "BEGIN; UPDATE a SET n = n + 1; UPDATE filling SET x = randomblob(1000) WHERE rowid % 10 = 1;
			UPDATE b SET n = n + 1; COMMIT"
	done
) &
writer=$!
seen=
for _ in 1 2 3 4 5; do
	export_of alice
	expect_sound "$exported"
	expect_rows_in "$exported" "SELECT (SELECT n FROM a) = (SELECT n FROM b)" 1
	seen+=" $(sqlite3 -readonly "$exported" "SELECT n FROM a")"
done
touch "$stack/enough"
wait_all "$writer"
[ "$(tr ' ' '\n' <<<"$seen" | sort -u | grep -c .)" -gt 1 ] || fail "nobody wrote meanwhile:$seen"

# Large, with little memory and slowly: the worker is rid of it at once.
sequence bob "CREATE TABLE note(filling)"
for ((mb = 0; mb < large_mb; mb += 20)); do
	sequence bob "WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 20)
		INSERT INTO note SELECT randomblob(1000000) FROM n"
done
get bob /v1/export --limit-rate 10M
expect_status 200
[ "$(wc -c <"$BODY")" = "$(header Content-Length)" ] || fail "the file was cut"
expect_sound "$BODY"
expect_rows_in "$BODY" "SELECT count(*), sum(length(filling)) FROM note" "$large_mb|${large_mb}000000"
took=$(sed -n 's/.*request.done user=bob method=GET path=.v1.export status=200 ms=\([0-9]*\).*/\1/p' \
	"$stack/here/holdfast.log")
echo "$large_mb MB: $MS ms for the client, $took ms for the worker" | tee -a "$stack/measured"
[ "$took" -lt $((MS / 2)) ] || fail "a slow client has held the worker for $took ms"
for pid in $(workers); do
	kb=$(sed -n 's/^VmHWM:[ \t]*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
	[ "$kb" -lt 65536 ] || fail "a worker has had $kb kB"
done

# While the store is away, and in a conflict.
store_answers refused
execute alice "INSERT INTO note(text) VALUES ('away')"
wait_until 10 sync_failed alice
expect_export_equals_local alice
expect_header X-Sync-Status failed
store_answers normally
wait_until 10 sync_clean alice

start_host there
expect_rows alice "SELECT count(*) FROM note" 2
execute alice "INSERT INTO note(text) VALUES ('there')"
wait_until 10 sync_clean alice
on_host here
execute alice "INSERT INTO note(text) VALUES ('here')"
wait_until 10 sync_conflict alice
expect_export_equals_local alice
expect_header X-Sync-Status conflict
expect_rows_in "$exported" "SELECT text FROM note ORDER BY id DESC LIMIT 1" here
finish
