#!/bin/bash
# Goal: a PUT takes 600 ms and one user writes 20 times meanwhile.  All are answered within
# 1 s in total, no two PUTs run at once, and the store ends with write 20 (B3).
. "$(dirname "$0")/lib.sh"

start_stack
execute alice "CREATE TABLE note(number)"
wait_until 10 sync_clean alice

store_answers '{"action":"delay","method":"PUT","before_ms":600}'
store_log_clear
token alice >/dev/null
began=$(now_ms)
post_times 20 alice /v1/execute '{"stmt":{"sql":"INSERT INTO note SELECT count(*) + 1 FROM note"}}'
MS=$(($(now_ms) - began))
expect_faster_than 1000

wait_until 10 sync_clean alice
[ "$(store_most_puts alice)" = 1 ] || fail "$(store_most_puts alice) PUTs were under way at once"
# The first write alone, what came during its push, and one more if 600 ms were over.
[ "$(store_calls PUT)" -le 3 ] || fail "20 writes took $(store_calls PUT) PUTs"
expect_restored_equals_local alice
expect_rows_in "$restored" "SELECT max(number), count(*) FROM note" '20|20'
finish
