#!/bin/bash
# Goal: each limit of a statement has a status, a code and a message of its own, the
# next request works, and other users notice nothing.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_STATEMENT_TIMEOUT_MS=1500 HOLDFAST_MAX_DB_BYTES=4MiB HOLDFAST_MAX_BODY_BYTES=1MiB
export HOLDFAST_MAX_RESULT_BYTES=1MiB
WORKERS=1
start_stack
n="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"

# refused STATUS CODE MESSAGE SQL
refused() {
	execute alice "$4"
	expect_status "$1"
	expect_json .code "$2"
	[[ $(jq -r .message "$BODY") == *"$3"* ]] || fail "'${4:0:100}' says $(jq -r .message "$BODY")"
	expect_rows alice "SELECT count(*) FROM t" 150
	expect_rows bob "SELECT count(*) FROM t" 0
}

# repeat NUMBER TEXT
repeat() {
	local i

	for ((i = 0; i < $1; i++)); do
		printf '%s' "$2"
	done
}

execute bob "CREATE TABLE t(a)"
execute alice "CREATE TABLE t(a)"
execute alice "INSERT INTO t SELECT hex(zeroblob(10000)) FROM ($n SELECT i FROM n LIMIT 150)"
expect_status 200
pid=$(workers)

time_message='statement took longer than 1500 ms'
refused 400 SQLITE_INTERRUPT "$time_message" "$n SELECT count(*) FROM n"
refused 400 SQLITE_INTERRUPT "$time_message" "$n INSERT INTO t SELECT NULL FROM n WHERE i < 0"
refused 400 SQLITE_INTERRUPT "$time_message" \
	"SELECT count(*) FROM t AS a, t AS b WHERE a.a || b.a LIKE '%' || hex(zeroblob(48)) || 'b'"
[ "$MS" -lt 6000 ] || fail "LIKE took $MS ms"
refused 400 SQLITE_NOMEM 'takes more than' \
	"SELECT hex(zeroblob(500000 + random() % 9))$(repeat 120 ',hex(zeroblob(500000 + random() % 9))')"
refused 507 SQLITE_FULL 'bytes of temporary files' "$n SELECT hex(zeroblob(200)) AS h, i FROM n ORDER BY 1"
refused 507 SQLITE_FULL 'bytes of temporary files' \
	"CREATE TEMP TABLE x AS $n SELECT hex(zeroblob(200)) FROM n"
refused 507 SQLITE_FULL 'database or disk is full' "INSERT INTO t SELECT zeroblob(20000) FROM t"
refused 400 RESPONSE_TOO_LARGE '' "SELECT a FROM t"
refused 400 SQLITE_TOOBIG 'too big' "SELECT group_concat(a) FROM t"
refused 400 SQLITE_TOOBIG 'too big' "SELECT length(zeroblob(2000000))"
refused 400 SQLITE_UNKNOWN 'Expression tree is too large' "SELECT 1$(repeat 1100 '+1')"
refused 400 SQLITE_UNKNOWN 'too many terms in compound SELECT' \
	"SELECT 1$(repeat 500 ' UNION ALL SELECT 1')"
refused 400 SQLITE_UNKNOWN 'too many columns' "SELECT 1$(repeat 2000 ',1')"
refused 400 SQL_INPUT_ERROR 'too many arguments' "SELECT max(1$(repeat 100 ',1'))"
refused 400 SQL_INPUT_ERROR 'variable number' "SELECT ?32767"
refused 400 SQLITE_UNKNOWN 'pattern too complex' "SELECT 'a' LIKE hex(zeroblob(51))"
[ "$(workers)" = "$pid" ] || fail "the worker is another one"

# A function that is over in an instant, for which SQLite's own takes 10 s.
execute alice "SELECT instr(replace(hex(zeroblob(520000)),'0','a'), replace(hex(zeroblob(260000)),'0','a') || 'b')"
expect_status 200
[ "$MS" -lt 1000 ] || fail "instr took $MS ms"
finish
