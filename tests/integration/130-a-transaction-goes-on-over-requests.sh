#!/bin/bash
# Goal: a transaction over several HTTP requests, whichever of the workers each of
# them reaches: seen by nobody before its COMMIT, pushed after it, undone by
# ROLLBACK and by close; and its baton is good once, for its user, as it was made.
. "$(dirname "$0")/lib.sh"
export HOLDFAST_LOG=debug
start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
store_log_clear

# nginx spreads users by what they authorize themselves with.
for i in 1 2 3 4 5 6 7 8; do
	holdfast token alice --ttl "${i}h" >"$stack/token.$i"
done
turn=0
other_token() {
	turn=$((turn % 8 + 1))
	cp "$stack/token.$turn" "$stack/tokens/alice"
}

# What reaches another worker is handed over: enough requests for all of them to have one.
stream_begin alice "BEGIN IMMEDIATE"
for i in $(seq 12); do
	before=$BATON
	other_token
	stream_go_on alice "INSERT INTO note VALUES ('$i')" '{"type":"get_autocommit"}'
	expect_result 0 ''
	expect_json '.results[1].response.is_autocommit' false
	expect_json .base_url null
	if [ -z "$BATON" ] || [ "$BATON" = "$before" ]; then
		fail "the baton is '$BATON'"
	fi
done
expect_rows alice "SELECT count(*) FROM note" 0
stream_go_on alice "SELECT count(*) FROM note"
expect_result 0 12
expect_store_calls 0 PUT
stream_go_on alice "COMMIT" "$close_stream"
expect_result 0 ''
[ -z "$BATON" ] || fail "a closed stream has the baton $BATON"
expect_rows alice "SELECT count(*) FROM note" 12
wait_until 10 sync_clean alice
expect_store_calls 1 PUT

# Undone by ROLLBACK, which leaves a stream without state, and by close.
stream_begin alice "BEGIN" "DELETE FROM note"
stream_go_on alice "ROLLBACK"
stream_go_on alice "SELECT count(*) FROM note"
expect_result 0 12
free=$BATON
stream_begin alice "BEGIN IMMEDIATE" "DELETE FROM note"
stream_go_on alice "$close_stream"
expect_rows alice "SELECT count(*) FROM note" 12

# A free baton is good in every worker, again and again; whatever it is, for nobody else.
for i in $(seq 8); do
	other_token
	BATON=$free
	stream_go_on alice "SELECT $i"
	expect_result 0 "$i"
done
BATON=$free
stream_go_on bob "SELECT 1"
expect_refused 400 BATON_INVALID

stream_begin alice "BEGIN IMMEDIATE" "INSERT INTO note VALUES ('mine')"
mine=$BATON
stream_go_on bob "SELECT 1"
expect_refused 400 BATON_INVALID
for forged in "A${mine:1}x" "${mine:0:63}" "${mine:0:40}AAAA${mine:44}" nonsense; do
	BATON=$forged
	stream_go_on alice "COMMIT"
	expect_refused 400 BATON_INVALID
done
BATON=$mine
stream_go_on alice "INSERT INTO note VALUES ('too')"
next=$BATON
for i in 1 2; do
	other_token
	BATON=$mine
	stream_go_on alice "COMMIT"
	expect_refused 400 BATON_REUSED
done
# None of that has harmed the stream.
BATON=$next
stream_go_on alice "COMMIT"
expect_result 0 ''
expect_rows alice "SELECT count(*) FROM note" 14

# What is left on a stream stays with it, and only with it.
stream_begin alice '{"type":"store_sql","sql_id":0,"sql":"SELECT 7"}' "PRAGMA foreign_keys=OFF" \
	"CREATE TEMP TABLE mine(x)"
for i in 1 2 3 4; do
	other_token
	stream_go_on alice '{"type":"execute","stmt":{"sql_id":0}}' "PRAGMA foreign_keys" \
		"SELECT count(*) FROM mine"
	expect_result 0 7
	expect_result 1 0
	expect_result 2 0
	execute alice "PRAGMA foreign_keys"
	expect_json '.result.rows[0][0].value' 1
done
stream_go_on alice '{"type":"close_sql","sql_id":0}' '{"type":"sequence","sql":""}'
stream_go_on alice '{"type":"execute","stmt":{"sql_id":0}}'
expect_refused 400 MALFORMED_REQUEST
stream_begin alice "SELECT count(*) FROM mine"
expect_json '.results[0].type' error
grep -q request.handed_over "$stack/here/holdfast.log" || fail "nothing was handed over"
finish
