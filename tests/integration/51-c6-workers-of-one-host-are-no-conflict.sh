#!/bin/bash
# Goal: two workers of one host that write to one user's database in turn, 100
# times, and push it in turn, are no conflict, and every row is stored (C6).
. "$(dirname "$0")/lib.sh"
export HOLDFAST_SOCKETS=2
WORKERS=2
start_stack

requests_by_worker() {
	holdfast status --json | jq -r '[.workers[] | .requests] | join(" ")'
}

# nginx chooses the socket by the token, so tokens are tried until both are met.
token alice >/dev/null
declare -A token_of=()
for ((minutes = 61; minutes < 161 && ${#token_of[@]} < 2; minutes++)); do
	holdfast token alice --ttl "${minutes}m" >"$stack/tokens/alice"
	read -r before _ <<<"$(requests_by_worker)"
	execute alice "CREATE TABLE IF NOT EXISTS note(text)"
	expect_status 200
	read -r after _ <<<"$(requests_by_worker)"
	token_of[$((after > before))]=$(cat "$stack/tokens/alice")
done
[ ${#token_of[@]} = 2 ] || fail "all tokens lead to the same worker"
wait_until 10 sync_clean alice

# Slow enough that the next write comes while the other worker pushes.
store_answers slowly 20
read -r -a before <<<"$(requests_by_worker)"
for ((n = 1; n <= 100; n++)); do
	echo "${token_of[$((n % 2))]}" >"$stack/tokens/alice"
	execute alice "INSERT INTO note VALUES ('$n')"
	expect_status 200
	expect_no_header X-Sync-Status
done
read -r -a after <<<"$(requests_by_worker)"
for worker in 0 1; do
	served=$((after[worker] - before[worker]))
	[ "$served" -ge 50 ] || fail "worker $worker has served $served requests, want 50"
	pid=$(holdfast status --json | jq ".workers[$worker].pid")
	grep -q "worker\[$pid\].* push.done user=alice" "$stack/here/holdfast.log" ||
		fail "worker $worker has pushed nothing"
done

wait_until 10 sync_clean alice
[ "$(store_most_puts alice)" = 1 ] || fail "$(store_most_puts alice) PUTs of one user at once"
expect_restored_equals_local alice
expect_rows_in "$restored" 'SELECT count(*), count(DISTINCT text) FROM note' '100|100'
finish
