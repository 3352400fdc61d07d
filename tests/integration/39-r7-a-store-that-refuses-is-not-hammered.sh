#!/bin/bash
# Goal: 400 and 403 flag their user and are tried again every retry_max, however often that
# user writes or asks; when the store accepts again, the push goes through by itself (R7).
. "$(dirname "$0")/lib.sh"
export HOLDFAST_RETRY_MIN_MS=200 HOLDFAST_RETRY_MAX_MS=4000
declare -A fault=(
	[bad]='"status":400,"code":"InvalidRequest"'
	[forbidden]='"status":403,"code":"SignatureDoesNotMatch"'
)

# expect_patience USER: no two attempts at a push were closer than retry_max.
expect_patience() {
	local closest

	closest=$(store_log | jq -s --arg user "/u/$1/0000/" 'map(select(.method == "PUT" and
		(.path | contains($user))) | .start) | [.[1:], .[:-1]] | transpose | map(.[0] - .[1]) | min')
	[ "$closest" -ge 3990 ] || fail "$1 was tried again after $closest ms, want 4000"
}

start_stack
for user in "${!fault[@]}"; do
	execute "$user" "CREATE TABLE note(text)"
	wait_until 10 sync_clean "$user"
	store_rule "{\"action\":\"status\",\"method\":\"PUT\",\"path\":\"/u/$user/\",${fault[$user]}}"
done
store_log_clear

for user in "${!fault[@]}"; do
	execute "$user" "INSERT INTO note VALUES ('refused')"
	expect_status 200
	wait_until 2 sync_failed "$user"
	for i in 1 2 3 4 5; do
		execute "$user" "INSERT INTO note VALUES ('$i')"
		expect_status 200
		expect_header X-Sync-Status failed
		post "$user" /v1/sync ''
		expect_status 503
	done
done
for user in "${!fault[@]}"; do
	wait_until 10 store_calls_reach 2 PUT "/u/$user/"
done

store_answers normally
for user in "${!fault[@]}"; do
	wait_until 10 sync_clean "$user"
	expect_patience "$user"
	expect_restored_equals_local "$user"
	expect_rows_in "$restored" "SELECT count(*) FROM note" 6
done
finish
