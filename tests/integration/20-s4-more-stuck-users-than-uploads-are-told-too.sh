#!/bin/bash
# Goal: S4 with more users than there are transfers: while a silent store
# holds every one of them, a user whose push found none free is told within
# 5 s of the write, too, and all are in step when the store is back.
. "$(dirname "$0")/lib.sh"

export HOLDFAST_MAX_UPLOADS=4
start_stack
users=(u1 u2 u3 u4 u5 u6 u7 u8 u9 u10 u11 u12)
for user in "${users[@]}"; do
	execute "$user" "CREATE TABLE note(text)"
	expect_status 200
	wait_until 10 sync_clean "$user"
done

told_within_5_s() {
	local written

	written=$(now_ms)
	execute "$1" "INSERT INTO note VALUES ('kept')"
	expect_status 200
	wait_until 10 sync_failed "$1"
	[ $(($(now_ms) - written)) -le 5000 ] || fail "$1 was told after $(($(now_ms) - written)) ms"
}

store_answers silent
told=()
for user in "${users[@]}"; do
	told_within_5_s "$user" &
	told+=($!)
done
wait_all "${told[@]}"

store_answers normally
for user in "${users[@]}"; do
	wait_until 20 sync_clean "$user"
	expect_restored_equals_local "$user"
done
finish
