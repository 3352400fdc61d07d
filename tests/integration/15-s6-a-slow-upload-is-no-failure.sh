#!/bin/bash
# Goal: an upload that succeeds after 3 s, because its answer is late or because
# the line is slow, is never shown as `failed` to a user who polls (S6).
. "$(dirname "$0")/lib.sh"

# 30 KB/s for 100 KB that do not compress
late='{"action":"delay","method":"PUT","before_ms":3000}'
slow='{"action":"throttle","method":"PUT","bytes_per_s":30000}'

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
for rule in "$late" "$slow"; do
	store_answers "$rule"
	store_log_clear
	execute alice "INSERT INTO note VALUES (randomblob(100000))"
	expect_status 200
	expect_no_header X-Sync-Status
	wait_until 5 store_is_busy PUT /u/alice/
	expect_untold_until_clean 20 alice
	[ "$POLLS" -gt 10 ] || fail "asked only $POLLS times"
	expect_json '.last_push_ms >= 2900' true
	expect_store_calls 1
	took=$(store_log | jq '.end - .start')
	[ "$took" -ge 2900 ] || fail "the upload was not slow, it took $took ms"
	store_answers normally
done
expect_restored_equals_local alice
finish
