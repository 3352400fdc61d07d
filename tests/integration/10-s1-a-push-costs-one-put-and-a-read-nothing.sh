#!/bin/bash
# Goal: with a healthy store no answer carries X-Sync-Status, a push is one PUT and
# nothing else, and reads cost the store nothing (S1).
. "$(dirname "$0")/lib.sh"

start_stack
execute alice "CREATE TABLE note(text)"
expect_status 200
wait_until 10 sync_clean alice

store_log_clear
for i in 1 2 3 4 5; do
	execute alice "INSERT INTO note VALUES ('$i')"
	expect_status 200
	expect_no_header X-Sync-Status
	expect_untold_until_clean 10 alice
done
expect_store_calls 5
expect_store_calls 5 PUT /u/alice/0000/

store_log_clear
for i in 1 2 3 4 5 6 7 8 9 10; do
	expect_rows alice "SELECT count(*) FROM note" 5
	expect_no_header X-Sync-Status
done
expect_told_everywhere alice ''
post alice /v1/sync ''
expect_status 200

# Whatever a read could have set off has come before the push of this write.
execute alice "INSERT INTO note VALUES ('6')"
wait_until 10 sync_clean alice
expect_store_calls 1
expect_store_calls 1 PUT /u/alice/0000/
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT count(*) FROM note" 6
finish
