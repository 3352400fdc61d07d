#!/bin/bash
# Goal: the store fails for alice only.  Bob, whom the same worker serves, never
# gets her header and his pushes go on; his success does not clear her flag (S5).
#
# One worker, so that they share everything that two users can share.
WORKERS=1
. "$(dirname "$0")/lib.sh"

start_stack
for user in alice bob; do
	execute "$user" "CREATE TABLE note(text)"
	wait_until 10 sync_clean "$user"
done

written=0
for fault in '"action":"status","status":503' '"action":"silent"' '"action":"reset-after-body"'; do
	store_answers "[{$fault,\"path\":\"/u/alice/\"}]"
	store_log_clear
	execute alice "INSERT INTO note VALUES ('unstored')"
	expect_status 200
	for i in 1 2 3 4 5; do
		execute bob "INSERT INTO note VALUES ('$i')"
		expect_status 200
		expect_no_header X-Sync-Status
		expect_untold_until_clean 5 bob
		written=$((written + 1))
	done
	expect_store_calls 5 PUT /u/bob/
	wait_until 10 sync_failed alice
	execute bob "INSERT INTO note VALUES ('once more')"
	expect_no_header X-Sync-Status
	expect_untold_until_clean 5 bob
	written=$((written + 1))
	expect_told_everywhere alice failed
	expect_told_everywhere bob ''
	store_answers normally
	wait_until 15 sync_clean alice
done
expect_rows bob "SELECT count(*) FROM note" "$written"
expect_restored_equals_local bob
expect_restored_equals_local alice
finish
