#!/bin/bash
# Goal: SQLite cannot interrupt a function; a request that stays in one ends its worker
# in bounded time, the client is told that the outcome is unknown, and a new worker serves.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_STATEMENT_TIMEOUT_MS=300 HOLDFAST_LOCK_WAIT_MS=500
WORKERS=1
start_stack
execute alice "CREATE TABLE note(text)"
expect_status 200
pid=$(workers)
brackets=$(for _ in {1..24}; do printf '[^b]'; done)
execute alice "INSERT INTO note SELECT hex(zeroblob(8000000)) GLOB '*${brackets}b'"
expect_status 500
expect_json .code OUTCOME_UNKNOWN
[ "$MS" -lt 10000 ] || fail "it took $MS ms"
wait_until 10 workers_replaced "$pid"
grep -q ' request.stuck after_ms=' "$stack/here/holdfast.log" || fail "nobody has said why"
wait_until 10 is_served alice
expect_rows alice "SELECT count(*) FROM note" 0
execute alice "INSERT INTO note VALUES ('next')"
expect_status 200
finish
