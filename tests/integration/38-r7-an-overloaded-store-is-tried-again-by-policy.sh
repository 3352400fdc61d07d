#!/bin/bash
# Goal: after 500, 503 SlowDown, InternalError and 429 a push is tried again by itself, each
# time after a wait between retry_min and its doublings up to retry_max (R7).
. "$(dirname "$0")/lib.sh"
export HOLDFAST_RETRY_MIN_MS=200 HOLDFAST_RETRY_MAX_MS=800
late=1000	# what a busy machine may add to a wait
declare -A fault=(
	[plain]='"status":500,"body":""'
	[slow]='"status":503,"code":"SlowDown"'
	[broken]='"status":500,"code":"InternalError"'
	[many]='"status":429,"code":"TooManyRequests"'
)

start_stack
for user in "${!fault[@]}"; do
	execute "$user" "CREATE TABLE note(text)"
	wait_until 10 sync_clean "$user"
	store_rule "{\"action\":\"status\",\"method\":\"PUT\",\"path\":\"/u/$user/\",${fault[$user]},\"times\":4}"
done
store_log_clear

for user in "${!fault[@]}"; do
	execute "$user" "INSERT INTO note VALUES ('$user')"
	expect_status 200
	expect_no_header X-Sync-Status
	wait_until 2 sync_failed "$user"
done
for user in "${!fault[@]}"; do
	wait_until 10 sync_clean "$user"
	expect_store_calls 5 PUT "/u/$user/"
	# shellcheck disable=SC2046
	set -- $(store_log | jq -s --arg user "/u/$user/" 'map(select(.method == "PUT" and
			(.path | contains($user)))) | [.[1:], .[:-1]] | transpose[] | .[0].start - .[1].end')
	[ $# = 4 ] || fail "the log has $# waits of $user, want 4"
	most=200
	for wait; do
		most=$((most < 400 ? 2 * most : 800))
		[ "$wait" -ge 199 ] || fail "$user was tried again after $wait ms, want 200"
		[ "$wait" -lt $((most + late)) ] || fail "$user was tried again after $wait ms, want $most at most"
	done
	expect_restored_equals_local "$user"
	expect_rows_in "$restored" "SELECT text FROM note" "$user"
done
finish
