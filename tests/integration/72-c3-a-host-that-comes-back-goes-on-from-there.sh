#!/bin/bash
# Goal: a host comes back after another has gone on: what it has pushed is a
# prefix of what is there, so it is brought up to it, in the background of the
# first request, with no conflict and no row lost.
. "$(dirname "$0")/lib.sh"

start_stack
execute alice "CREATE TABLE note(text)"
execute alice "INSERT INTO note VALUES ('here')"
wait_until 10 sync_clean alice
stop_holdfast

start_host there
execute alice "INSERT INTO note VALUES ('there')"
expect_status 200
wait_until 10 sync_clean alice
stop_holdfast

on_host here
start_holdfast
sees_both() {
	[ "$(query alice "SELECT group_concat(text) FROM note")" = "here,there" ]
}
wait_until 10 sees_both
execute alice "INSERT INTO note VALUES ('here again')"
expect_status 200
wait_until 10 sync_clean alice
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT group_concat(text) FROM note" "here,there,here again"
finish
