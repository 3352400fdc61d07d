#!/bin/bash
# Goal: the small files beside a database are damaged, cut, emptied, replaced or
# gone, while the program is stopped or running.  It says so, nobody is reported
# as in step before every page went out, and a node file that cannot be read stops
# the start.
. "$(dirname "$0")/lib.sh"
start_stack

damages=(flipped digit cut empty missing huge folder lock both)

# damage USER: its name says what.
damage() {
	local dir

	dir=$(dirname "$(local_file "$1")")
	case ${1#running-} in
	flipped) printf '\x55' | dd of="$dir/sync" bs=1 seek=40 conv=notrunc status=none ;;
	digit) sed -i 's/^txid 1$/txid 7/' "$dir/sync" ;;
	cut) truncate -s 100 "$dir/sync" ;;
	empty) : >"$dir/sync" ;;
	missing) rm "$dir/sync" ;;
	huge) head -c 200000 /dev/zero >"$dir/sync" ;;
	folder) rm "$dir/sync" && mkdir "$dir/sync" ;;
	lock) rm "$dir/lock" ;;
	both) rm "$dir/lock" "$dir/sync" ;;
	esac
}

expect_told() {
	case ${1#running-} in
	flipped | digit | cut | empty | huge) grep -q "record.damaged path=.*/$1/sync" "$stack/here/holdfast.log" ;;
	missing | both) grep -q "record.missing user=$1" "$stack/here/holdfast.log" ;;
	folder) grep -q "file.failed .* path=.*/$1/sync" "$stack/here/holdfast.log" ;;
	lock) true ;;
	esac || fail "the log does not say what happened to $1"
}

# The store has every page of it a second time, but where only the lock was lost.
expect_pushed_whole() {
	local want=2

	[ "${1#running-}" != lock ] || want=1
	wait_until 10 sync_clean "$1"
	txid_reaches "$want" "$1" || fail "$1 is in step at $(jq .remote_txid "$BODY"), want $want"
	expect_told "$1"
	expect_rows "$1" "SELECT text FROM note" precious
	expect_restored_equals_local "$1"
	[ "$1" != flipped ] || expect_litestream_restores "$1"
	s3 list "u/$1/" >"$stack/keys"
	[ "$(wc -l <"$stack/keys")" = "$want" ] || fail "$1 has $(wc -l <"$stack/keys") objects, want $want"
}

for name in "${damages[@]}"; do
	for user in "$name" "running-$name"; do
		sequence "$user" "CREATE TABLE note(text); INSERT INTO note VALUES ('precious')"
		wait_until 10 sync_clean "$user"
		txid_reaches 2 "$user" && fail "$user has more than one object already"
	done
done
expect_broken_folder() {
	execute "$1" "SELECT text FROM note"
	expect_status 500
	get "$1" /v1/sync
	expect_status 500
	expect_told "$1"
	rmdir "$(dirname "$(local_file "$1")")/sync"
}

# With the store away nobody may be taken for clean on trust.
stop_holdfast
for name in "${damages[@]}"; do
	damage "$name"
done
store_answers refused
start_holdfast
for name in flipped missing huge; do
	wait_until 10 sync_failed "$name"
	expect_rows "$name" "SELECT text FROM note" precious
done
store_answers normally
expect_broken_folder folder
for name in "${damages[@]}"; do
	expect_pushed_whole "$name"
done

for name in "${damages[@]}"; do
	damage "running-$name"
done
for name in flipped digit cut empty missing huge lock both; do
	expect_pushed_whole "running-$name"
done

# A write comes before anybody asks.
rm "$(dirname "$(local_file cut)")/sync"
execute cut "INSERT INTO note VALUES ('more')"
expect_status 200
wait_until 10 sync_clean cut
expect_restored_equals_local cut

# ---- the id of the data directory
stop_holdfast
cp "$(data)/node" "$stack/node"
for damage in "" "0000000000000000" "xyz" "$(head -c 300 /dev/zero | tr '\0' a)"; do
	echo -n "$damage" >"$(data)/node"
	status=0
	holdfast serve >"$stack/serve.out" 2>&1 || status=$?
	[ "$status" = 1 ] || fail "a start with the node '$damage' ends with $status"
	grep -q "node.damaged path=$(data)/node" "$stack/serve.out" || fail "not told: $(cat "$stack/serve.out")"
done
cp "$stack/node" "$(data)/node"
start_holdfast
execute cut "INSERT INTO note VALUES ('with its node again')"
wait_until 10 sync_clean cut
expect_restored_equals_local cut
finish
