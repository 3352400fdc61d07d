#!/bin/bash
# Goal: C3, C5, C7: two hosts start from one base and both write; one wins, the
# other is told `conflict`, goes on reading, refuses writes with 409, and
# resolves either way; the losing database is kept, TXIDs only grow.
. "$(dirname "$0")/lib.sh"

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice

start_host there
expect_rows alice "SELECT count(*) FROM note" 0
on_host here

in_conflict() {
	execute alice "SELECT count(*) FROM note"
	[ "$STATUS" = 200 ] && [ "$(header X-Sync-Status)" = conflict ]
}

# diverge TEXT: `there` wins, `here` loses.
diverge() {
	on_host there
	execute alice "INSERT INTO note VALUES ('there $1')"
	expect_status 200
	wait_until 10 sync_clean alice
	on_host here
	execute alice "INSERT INTO note VALUES ('here $1')"
	expect_status 200
	wait_until 10 in_conflict
	execute alice "INSERT INTO note VALUES ('refused')"
	expect_status 409
	expect_json .code SYNC_CONFLICT
	expect_header X-Sync-Status conflict
}

diverge one
expect_rows alice "SELECT group_concat(text) FROM note" "here one"
post alice /v1/sync/resolve '{"keep":"both"}'
expect_status 400
kill_holdfast_hard
start_holdfast
in_conflict || fail "a restart has forgotten the conflict"

post alice /v1/sync/resolve '{"keep":"remote"}'
expect_status 200
expect_no_header X-Sync-Status
expect_rows alice "SELECT group_concat(text) FROM note" "there one"
kept=("$(data)"/users/*/alice/kept/*.sqlite)
expect_rows_in "${kept[0]}" "SELECT group_concat(text) FROM note" "here one"
get alice /v1/sync
expect_json '.kept | length' 1
get alice "/v1/sync/kept/$(jq -r '.kept[0].name' "$BODY")"
expect_status 200
cmp "$BODY" "${kept[0]}" || fail "what was downloaded is not what was kept"
get alice /v1/sync/kept/../sync
expect_status 404
get bob "/v1/sync/kept/$(basename "${kept[0]}")"
expect_status 404
execute alice "INSERT INTO note VALUES ('here again')"
expect_status 200
wait_until 10 sync_clean alice
expect_restored_equals_local alice

on_host there
execute alice "INSERT INTO note VALUES ('there two')"
wait_until 10 in_conflict
post alice /v1/sync/resolve '{"keep":"local"}'
expect_status 200
wait_until 10 sync_clean alice
expect_rows alice "SELECT group_concat(text) FROM note" "there one,there two"
expect_restored_equals_local alice
expect_litestream_restores alice
restore alice --txid 3
[ "$STATUS" = 0 ] || fail "the other history is not restorable"
expect_rows_in "$restored" "SELECT group_concat(text) FROM note" "there one,here again"
post alice /v1/sync/resolve '{"keep":"local"}'
expect_status 409
expect_json .code NO_CONFLICT
finish
