#!/bin/bash
# Goal: `holdfast verify` says ok for what the store would give back byte for
# byte, with the service running or stopped, and otherwise names the first page
# that differs: after an object was replaced by another sound one, after a byte
# of the local file was changed, after the sqlite3 tool wrote to it.
. "$(dirname "$0")/lib.sh"
start_stack

# verify [USER | --all]: what it says in $said, its status in STATUS.
verify() {
	STATUS=0
	said=$(holdfast verify "$@" 2>>"$stack/verify.log") || STATUS=$?
}

# expect_verified STATUS LINE_START [USER | --all]
expect_verified() {
	verify "${@:3}"
	expect_status "$1"
	[[ $said == *"$2"* ]] || fail "verify says '$said', want '$2'"
}

# Twins: what one has in the store fits the other's chain.
for user in alice bob; do
	sequence "$user" "CREATE TABLE note(id INTEGER PRIMARY KEY, text);
		WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 100)
		INSERT INTO note SELECT i, printf('%0200d', i) FROM n"
	wait_until 10 sync_clean "$user"
	execute "$user" "UPDATE note SET text = '$user' WHERE id = 90"
	wait_until 10 sync_clean "$user"
done
execute carol "SELECT 1"
wait_until 10 is_served carol
txid=2
expect_verified 0 "ok alice txid=$txid pages=" alice
expect_verified 0 "3 users: 3 ok, 0 differ" --all
[[ $said == *"ok carol txid=0 pages=0"* ]] || fail "an untouched account: $said"

# While it is being written to, too.
post_times 50 alice /v1/execute '{"stmt":{"sql":"INSERT INTO note(text) VALUES (hex(randomblob(400)))"}}' &
writer=$!
verify --all
[[ $said == *"3 users: 3 ok, 0 differ"* ]] || fail "beside a writer: $said"
wait_all "$writer"
wait_until 10 sync_clean alice
expect_verified 0 "ok alice" alice

stop_holdfast
expect_verified 0 "3 ok" --all
key=u/bob/0000/0000000000000002-0000000000000002.ltx
s3 get "$key" >"$stack/sound"
s3 get "${key/bob/alice}" >"$stack/other"
s3 put "$key" <"$stack/other"
expect_verified 1 "differs bob txid=2 page=" bob
[[ $said == *"differs between the store and here"* ]] || fail "which side: $said"
expect_verified 1 "3 users: 2 ok, 1 differ, 0 dirty, 0 failed" --all
s3 put "$key" <"$stack/sound"
expect_verified 0 "ok bob" bob

# The store does not answer, or has lost an object: not the same as a difference.
store_answers refused
expect_verified 1 "failed alice: the store does not answer (connect)" --all
[[ $said == *"0 ok, 0 differ, 0 dirty, 1 failed, 2 not looked at"* ]] || fail "summary: $said"
store_answers normally
s3 delete "$key"
expect_verified 1 "failed bob txid=2: objects are missing or damaged" bob
s3 put "$key" <"$stack/sound"

# Pulled anew there is no WAL, and the pages are read from the file.
wipe_disk
start_holdfast
wait_until 10 is_served alice
wait_until 10 is_served bob
stop_holdfast
expect_verified 0 "2 users: 2 ok" --all
# As a failing disk does it: the time of the last change stays.
changed=$(stat -c %y "$(local_file bob)")
printf '\xff' | dd of="$(local_file bob)" bs=1 seek=$((4096 * 2 + 1000)) conv=notrunc status=none
touch -m -d "$changed" "$(local_file bob)"
expect_verified 1 "differs bob txid=2 page=3 differs between the store and here: the first of 1;" bob
expect_verified 0 "ok alice" alice

# What is new here is not compared; with nobody to push it that is said at once.
sqlite3 -cmd '.dbconfig no_ckpt_on_close on' "$(local_file alice)" "INSERT INTO note(text) VALUES ('foreign')" >/dev/null
expect_verified 1 "dirty alice: not compared" alice
verify nobody
expect_status 1
verify ..
expect_status 2
[ -z "$(find "$(data)" -maxdepth 1 -name 'verify.*')" ] || fail "a temporary file is left"
finish
