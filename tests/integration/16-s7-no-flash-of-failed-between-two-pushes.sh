#!/bin/bash
# Goal: a second write comes while the first is being pushed; the first push ends
# well, the second follows, and `failed` is not shown for a moment (S7).
. "$(dirname "$0")/lib.sh"

start_stack
execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice

store_answers '{"action":"delay","method":"PUT","before_ms":1000,"after_ms":500}'
store_log_clear
execute alice "INSERT INTO note VALUES ('first')"
expect_no_header X-Sync-Status
wait_until 5 store_is_busy PUT /u/alice/
execute alice "INSERT INTO note VALUES ('second')"
expect_no_header X-Sync-Status
# The first one is still under way.
get alice /v1/sync
expect_json .pending_commits 2

expect_untold_until_clean 20 alice
[ "$POLLS" -gt 10 ] || fail "asked only $POLLS times"
expect_store_calls 2
expect_store_calls 2 PUT /u/alice/
[ "$(store_most_puts alice)" = 1 ] || fail "two pushes of one user at the same time"
expect_no_header X-Sync-Status
expect_restored_equals_local alice
finish
