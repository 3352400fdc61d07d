#!/bin/bash
# Goal: everything is killed with -9 right after a 200 while the store is down,
# and it is still down after the restart: the local, newer data is served, and
# with `failed`, until the store is back (K2).
. "$(dirname "$0")/lib.sh"
start_stack
execute alice "CREATE TABLE note(text)"
execute alice "INSERT INTO note VALUES ('stored')"
execute bob "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
wait_until 10 sync_clean bob

store_answers refused
execute alice "INSERT INTO note VALUES ('local only')"
expect_status 200
kill_holdfast_hard
start_holdfast
expect_rows alice "SELECT text FROM note" $'stored\nlocal only'
wait_until 5 sync_failed alice
execute alice "SELECT group_concat(text) FROM note"
expect_header X-Sync-Status failed
expect_json '.result.rows[0][0].value' 'stored,local only'
execute alice "INSERT INTO note VALUES ('after the crash')"
expect_status 200
expect_header X-Sync-Status failed

# Whoever has nothing unpushed is served too, and not flagged.
execute bob "SELECT count(*) FROM note"
expect_status 200
expect_no_header X-Sync-Status

store_answers normally
wait_until 10 sync_clean alice
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT text FROM note" $'stored\nlocal only\nafter the crash'
finish
