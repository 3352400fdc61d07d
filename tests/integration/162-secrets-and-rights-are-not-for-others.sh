#!/bin/bash
# Goal: run as a user of its own without any rights, the program works; nobody finds the
# secrets of its environment in /proc, it leaves no core and gains no rights, its files are its own;
# and after a reload all of that still holds, although the secrets are handed on.
. "$(dirname "$0")/lib.sh"
start_stack

# status_of PID FIELD
status_of() {
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

expect_shut() {
	local pid

	for pid in "${holdfast_pid[here]}" $(workers); do
		grep -qaz '^HOLDFAST_DATA=' "/proc/$pid/environ" || fail "$pid: nothing of its environment is seen"
		! grep -qaE 'local\+secret|local-key' "/proc/$pid/environ" || fail "$pid shows its secrets"
		[ "$(status_of "$pid" NoNewPrivs)" = 1 ] || fail "$pid may gain rights"
		grep -q '^Max core file size  *0  *0 ' "/proc/$pid/limits" || fail "$pid may leave a core"
		[ "$(status_of "$pid" Umask)" = 0077 ] || fail "umask of $pid: $(status_of "$pid" Umask)"
	done
}

expect_private_files() {
	local open

	open=$(find "$(data)" -perm /077)
	[ -z "$open" ] || fail "others may read $open"
}

execute alice "CREATE TABLE note(text)"
expect_status 200
wait_until 10 sync_clean alice
expect_shut
expect_private_files

# shellcheck disable=SC2046
reload_and_wait() {
	set -- $(workers)
	reload_holdfast
	wait_until 20 workers_replaced "$@"
}

reload_and_wait
execute alice "INSERT INTO note VALUES ('signed with what was handed on')"
expect_status 200
wait_until 10 sync_clean alice
expect_shut

# Before, as whoever runs the tests; now as nobody, who has no right but its own.
[ "$(id -u)" = 0 ] || finish
[ "$(log_lines serve.root)" -gt 0 ] || fail "nobody was warned of running as root"
stop_holdfast
cp "$HOLDFAST" "$stack/holdfast"
chmod 0711 "$stack"
chown -R nobody "$stack/here" "$key_file" "$stack/holdfast"
HOLDFAST=$stack/holdfast
clocked_program=(setpriv --reuid=nobody --regid=nogroup --clear-groups --bounding-set=-all
	--inh-caps=-all --no-new-privs)
start_holdfast
execute alice "INSERT INTO note VALUES ('nobody')"
expect_status 200
wait_until 10 sync_clean alice
for pid in "${holdfast_pid[here]}" $(workers); do
	[ "$(status_of "$pid" CapBnd)$(status_of "$pid" CapEff)" = "$(printf '%032d' 0)" ] ||
		fail "$pid has rights"
done
expect_shut
expect_private_files
clocked_program=()
expect_restored_equals_local alice
finish
