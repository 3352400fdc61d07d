#!/bin/bash
# Goal: a worker that dies in the middle of a write is not answered like one that
# was never reached: the first may have committed and says OUTCOME_UNKNOWN, the
# second may be tried again at once and says BUSY.
HOLDFAST=$(dirname "$0")/../../build/faults/holdfast
# Two scenarios need it, and may run beside each other.
flock "$(dirname "$0")" make -s -C "$(dirname "$0")/../.." B=build/faults
. "$(dirname "$0")/lib.sh"

WORKERS=2
start_stack

# die_at POINT: from now on every worker dies at its second arrival there.
die_at() {
	stop_holdfast
	FAULT=$1:2 start_holdfast
}

expect_unknown() {
	expect_status 500
	expect_json .code OUTCOME_UNKNOWN
	expect_header Content-Type application/json
	expect_header Cache-Control no-store
	expect_no_header Retry-After
}

expect_busy() {
	expect_status 503
	expect_json .code BUSY
	expect_header Retry-After 1
}

die_at request.after_commit
execute alice "CREATE TABLE note(text)"
expect_status 200
execute alice "INSERT INTO note VALUES ('committed')"
expect_unknown
expect_rows alice "SELECT text FROM note" committed

die_at request.before_commit
execute bob "CREATE TABLE note(text)"
expect_status 200
execute bob "INSERT INTO note VALUES ('not committed')"
expect_unknown
expect_rows bob "SELECT text FROM note" ""

# One of two sockets refuses: whoever is sent there first is passed on to the other.
die_at request.after_commit
mv "$stack/here/run/app.0.sock" "$stack/here/app.0.sock"
for user in a b c d e f g h i j k l; do
	execute "$user" "CREATE TABLE note(text)"
	expect_status 200
	execute "$user" "INSERT INTO note VALUES ('committed')"
	expect_unknown
	! grep -q 'connect() to unix:.*/app.0.sock failed' "$stack/here/nginx-error.log" || break
done
[ "$user" != l ] || fail "nobody was sent to the socket that refuses"
mv "$stack/here/app.0.sock" "$stack/here/run/app.0.sock"

# Nobody takes anything from the queues, and they are full.
stop_holdfast
start_holdfast
pids="${holdfast_pid[here]} $(workers | xargs)"
# shellcheck disable=SC2086
kill -STOP $pids
# shellcheck disable=SC2016
"$node" -e '
	const net = require("node:net");
	const fill = (path) => net.connect(path)
		.on("connect", () => fill(path))
		.on("error", () => { if (--left === 0) console.log("full"); });
	let left = 2;
	[0, 1].forEach((n) => fill(`${process.argv[1]}/app.${n}.sock`));
	setTimeout(() => process.exit(1), 60000);
' "$stack/here/run" >"$stack/queues" &
filler=$!
queues_are_full() {
	grep -q full "$stack/queues"
}
wait_until 20 queues_are_full
execute alice "INSERT INTO note VALUES ('refused')"
expect_busy
kill "$filler"
# shellcheck disable=SC2086
kill -CONT $pids
expect_rows alice "SELECT text FROM note" committed

kill_holdfast_hard
execute alice "INSERT INTO note VALUES ('refused')"
expect_busy
get alice /v1/sync
expect_busy
finish
