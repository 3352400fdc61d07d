#!/bin/bash
# Goal: 8 and 80 clients that each count up in a transaction over four requests, on
# one database: every one comes through, no update is lost, the wait is shared fairly,
# and others read as fast as when the same clients have a database each.
. "$(dirname "$0")/lib.sh"
seconds=6
start_stack

# prepare USER
prepare() {
	sequence "$1" "CREATE TABLE c(n); INSERT INTO c VALUES (0)"
}

readers=() each=() common=()
for user in carol dave; do
	prepare "$user"
	readers+=("$(token "$user")")
done
for i in 1 2 3 4 5 6 7 8; do
	prepare "user$i"
	each+=("$(token "user$i")")
	# nginx spreads users by what they authorize themselves with.
	common+=("$(holdfast token alice --ttl "${i}h")")
done
prepare alice

# count_up CLIENTS TOKEN...: what the tool has to say, in $said
count_up() {
	said=$("$node" "$tools/writers.mjs" "$(url)" "$seconds" "$1" "${readers[@]}" -- "${@:2}")
	echo "$1 clients: $said"
	[ "$(jq -c .errors <<<"$said")" = '{}' ] || fail "errors: $said"
	[ "$(jq .fewest <<<"$said")" -ge 3 ] || fail "a client was left behind: $said"
}

# at_most A TIMES B
at_most() {
	awk -v a="$1" -v times="$2" -v b="$3" 'BEGIN { exit !(a <= times * b) }'
}

# is_fair CLIENTS: that no update is lost and everybody comes through is demanded of
# every run; the two ratios of times, of one in three, since others use the machine, too.
is_fair() {
	local alone

	count_up "$1" "${each[@]}"
	alone=$(jq .read_p99 <<<"$said")
	count_up "$1" "${common[@]}"
	sum=$((sum + $(jq .committed <<<"$said")))
	expect_rows alice "SELECT n FROM c" "$sum"
	# 2 ms are what a clock of this kind cannot tell.
	at_most "$(jq .wait_p99 <<<"$said")" 3 "$(jq .wait_p50 <<<"$said")" &&
		at_most "$(jq '.read_p99 - 2' <<<"$said")" 1.25 "$alone"
}

sum=0
for clients in 8 80; do
	is_fair $clients || is_fair $clients || is_fair $clients ||
		fail "p99 of the wait is more than 3 times its median, or readers are slowed down"
done
finish
