#!/bin/bash
# Goal: `holdfast status` shows the worst first, in 80 columns and in colours
# where eyes read it; --watch redraws until Ctrl-C and leaves the terminal as it
# was; the exit status and --json are for scripts.
. "$(dirname "$0")/lib.sh"

# expect_status_exit STATUS ARGUMENTS...: its output in $stack/out.
expect_status_exit() {
	local want=$1 seen=0

	shift
	holdfast status "$@" >"$stack/out" 2>"$stack/err" || seen=$?
	[ "$seen" = "$want" ] || fail "status $* exits with $seen, want $want: $(cat "$stack/out" "$stack/err")"
}

# on_terminal ARGUMENTS...: the same on a terminal of 80 columns and 12 lines, in
# $stack/screen; what is typed comes from stdin.
on_terminal() {
	local environment

	describe_environment
	rm -f "$stack/screen"
	env "${environment[@]}" TERM=xterm timeout 20 script -qec \
		"stty cols 80 rows 12; exec '$HOLDFAST' status $*" "$stack/screen" >"$stack/script.out" || true
}

has_drawn() {
	[ "$(grep -ac 'workers, .* users:' "$stack/screen" 2>/dev/null)" -ge "$1" ]
}

start_stack
long=a-user-whose-name-is-longer-than-the-column-for-it-by-some-letters
for user in alice bob "${long:0:64}"; do
	execute "$user" "CREATE TABLE note(text)"
	wait_until 10 sync_clean "$user"
done
expect_status_exit 0
grep -q '^4 workers, 3 users: 0 conflict, 0 failed, 0 dirty, 3 ok$' "$stack/out" ||
	fail "the summary: $(cat "$stack/out")"
grep -q "^${long:0:64} " "$stack/out" || fail "a pipe gets a name that is cut"

store_answers 503
execute bob "INSERT INTO note VALUES ('kept')"
wait_until 10 sync_failed bob
expect_status_exit 3
[ "$(sed -n '4s/ .*//p' "$stack/out")" = bob ] || fail "the worst is not first: $(cat "$stack/out")"
grep -qE '^bob +failed +1 +1 +[0-9]+s +throttled +[0-9]+s$' "$stack/out" || fail "bob: $(cat "$stack/out")"
! grep -q $'\033' "$stack/out" || fail "colours in a file"
expect_status_exit 0 alice
expect_status_exit 3 bob
expect_status_exit 0 nobody
expect_status_exit 0 --json
jq -e '(.workers | length) == 4 and .users[0].user == "bob" and
	(.users[0] | .status == "failed" and .pending_commits == 1 and .last_error == "throttled" and
	.unsynced_ms > 0 and .wal_bytes > 0 and .spool_bytes == 0 and .failed_since_ms > 0) and
	(.users[1] | .status == "ok" and .unsynced_ms == 0)' "$stack/out" >"$stack/err" || fail "--json: $(cat "$stack/out")"
expect_status_exit 2 --json --watch
expect_status_exit 2 --watch
grep -q terminal "$stack/err" || fail "--watch in a pipe: $(cat "$stack/err")"
expect_status_exit 2 alice bob

on_terminal </dev/null
grep -qa $'bob .*\033\\[31mfailed' "$stack/screen" || fail "no colours on a terminal"
sed -e '1d;$d' -e $'s/\033\\[[0-9;]*m//g' -e 's/\r//' "$stack/screen" |
	awk 'length($0) > 80 { print; bad = 1 } END { exit bad }' >"$stack/wide" ||
	fail "wider than 80 columns: $(cat "$stack/wide")"
NO_COLOR=1 on_terminal </dev/null
! grep -qa $'\033\\[3' "$stack/screen" || fail "NO_COLOR is not honoured"

# Ctrl-C after the third picture, of which one is of the time after bob has healed.
mkfifo "$stack/keys"
on_terminal --watch <"$stack/keys" &
watching=$!
exec 8>"$stack/keys"
wait_until 10 has_drawn 1
store_answers normally
wait_until 10 sync_clean bob
drawn=$(grep -ac 'workers, .* users:' "$stack/screen" || true)
wait_until 10 has_drawn $((drawn + 2))
printf '\003' >&8
exec 8>&-
wait_all "$watching"
grep -aq '3 ok' "$stack/screen" || fail "the change is not shown"
tr -d '\n' <"$stack/screen" | grep -aq $'\033\\[?1049h\033\\[?25l' || fail "it does not take the other screen"
tr -d '\n' <"$stack/screen" | grep -aqE $'\033\\[\\?25h\033\\[\\?1049l.?(Script|$)' ||
	fail "the terminal is not as it was: $(tail -c 200 "$stack/screen" | cat -v)"

stop_holdfast
expect_status_exit 1
grep -q 'not running' "$stack/err" || fail "no service: $(cat "$stack/err")"
finish
