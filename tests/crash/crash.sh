#!/bin/bash
# Goal: whatever dies, whenever, and however the store behaves meanwhile: nothing
# that was answered is lost, and what is in the store is what is here.
#
#	crash.sh [ROUNDS [SEED]]	as `make crash`; wants a program with -DFAULTS
#
# One installation, one store and one disk for all rounds.  In each, clients write
# (writers.mjs), the store has weather, and something dies: a process at one of
# the named points (base/fault.h), or any of them at any moment, by kill -9.  Then
# the program is started anew in good weather, and when the users are in step,
# check.mjs looks at everything that was promised.
#
# What a round does is decided by seed and number before it begins, and printed;
# when exactly it happens is up to the machine.  ROUND=N runs that one alone.
#
# After a failure the folder of the installation stays: `record` (what was answered),
# check/mirror (the objects), here/data (the disk), here/holdfast.log.
. "$(dirname "$0")/../integration/lib.sh"

rounds=${1:-5}
seed=${2:-$(date +%s)}
first=${ROUND:-1}
last=${ROUND:-$rounds}
here=$(dirname "$0")
round=0
reached=0
writers_pid=
weather_pid=
# Users of a round: those of an older age are left alone, but stay in the store.
rounds_an_age=6

mapfile -t points < <(grep -rhoE 'FAULT\("[a-z_.]+"\)' "$root/app" --include='*.c' |
	sed 's/.*("\(.*\)").*/\1/' | sort -u)

# ---- the story of a round

# roll N: 0 to N - 1, into `rolled`.  Not by a subshell, which would not move RANDOM on.
roll() {
	rolled=$(((RANDOM << 15 | RANDOM) % $1))
}

one_of() {
	roll $#
	shift "$rolled"
	chosen=$1
}

plan_weather() {
	local n

	roll 5
	weather=()
	for ((n = rolled + 3; n > 0; n--)); do
		one_of normally normally normally 503 500 lost lost late:300 late:1500 slowly:150 \
			throttled:200000 silent refused resets garbage cut half duplicate \
			stored-but-500 refuse-put
		roll 600
		weather+=("$chosen/$((rolled + 100))")
	done
}

plan_death() {
	one_of worker workers everything master
	death=$chosen
	moment=0
	point=
	roll 1800
	moment=$((rolled + 200)) # milliseconds
	roll 4
	how_many=$((rolled + 1))
	one_of '' :all :all
	along=$chosen
	roll 6
	arrival=$((rolled + 1))
	# Every second time, and in turn, so that none is left out.
	if [ $((round % 2)) = 1 ]; then
		death=point
		point=${points[$(((seed + round / 2) % ${#points[@]}))]}
	fi
}

# Some points are reached in some circumstances only.
plan_circumstances() {
	wiped=
	one_in=10
	case $point in
	pull.*)
		wiped=1
		arrival=1
		;;
	adopt.*)
		weather=(lost/700 late:200/500 lost/900)
		arrival=1
		;;
	spool.*)
		weather=(503/7500)
		one_in=1
		arrival=1
		;;
	push.armed | push.after_checkpoint | checkpoint.*)
		weather=(503/400 normally/2000)
		one_in=2
		arrival=1
		;;
	*)
		roll 6
		[ "$rolled" != 0 ] || wiped=1
		;;
	esac
	one_of crash crash drain
	ending=$chosen
}

plan() {
	RANDOM=$(((seed * 131 + round * 7919) % 32768))
	roll 7
	plan_weather
	plan_death
	plan_circumstances
	age=$(((round - 1) / rounds_an_age))
	users=("alice$age" "bob$age" "new$round")
}

tell() {
	echo "round $round of seed $seed: death=$death${point:+ at $point:$arrival$along}" \
		"moment=$moment weather=${weather[*]} big=1/$one_in wiped=${wiped:-0} ending=$ending"
}

# ---- what happens

# In a process group of its own, which a fault point with `all` takes along.
start_holdfast() {
	local environment

	describe_environment
	[ -z "${fault:-}" ] || environment+=(FAULT="$fault")
	env "${environment[@]}" setsid "$HOLDFAST" serve >>"$stack/$host/holdfast.log" 2>&1 &
	holdfast_pid[$host]=$!
	wait_until 20 answers_health
	[ -z "${fault:-}" ] || return 0
	! process_ended "${holdfast_pid[$host]}" || fail "the program does not start"
}

make_weather() {
	local piece name

	for piece in "$@"; do
		name=${piece%/*}
		case $name in
		garbage) store_answers '{"action":"garbage"}' ;;
		cut) store_answers '{"action":"cut-request","method":"PUT","after":3000}' ;;
		half) store_answers '{"action":"lose-answer","how":"half-status"}' ;;
		duplicate) store_answers '{"action":"duplicate","method":"PUT"}' ;;
		stored-but-500)
			store_answers '{"action":"status-though-stored","status":500,"method":"PUT"}'
			;;
		refuse-put) store_answers '{"action":"reset-after-body","method":"PUT"}' ;;
		*:*) store_answers "${name%:*}" "${name#*:}" ;;
		*) store_answers "$name" ;;
		esac
		sleep "$(seconds "${piece#*/}")"
		store_answers normally
	done
}

seconds() {
	printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
}

start_writers() {
	local user who=()

	for user in "${users[@]}"; do
		who+=("$user=$(token "$user")")
	done
	"$node" "$here/writers.mjs" "$(url)" "$record" "$seed.$round" "$one_in" "${who[@]}" &
	writers_pid=$!
}

# No more weather either, so that the answers that are still out can come.
stop_writers() {
	kill "$weather_pid" 2>/dev/null || true
	wait "$weather_pid" 2>/dev/null || true
	store_answers normally
	kill -TERM "$writers_pid"
	wait "$writers_pid" || fail "the writers failed"
	weather_pid='' writers_pid=''
}

deaths_at_points() {
	grep -ac ' fault.kills ' "$stack/$host/holdfast.log" || true
}

died_at_point() {
	[ "$(deaths_at_points)" -gt "$1" ]
}

kill_one_of() {
	local pids=("$@")

	[ $# -gt 0 ] || return 0
	kill -KILL "${pids[$((moment % $#))]}" 2>/dev/null || true
}

kill_master() {
	local pids pid

	pids=$(workers)
	kill -KILL "${holdfast_pid[$host]}"
	wait "${holdfast_pid[$host]}" 2>/dev/null || true
	unset "holdfast_pid[$host]"
	for pid in $pids; do
		wait_until 15 process_ended "$pid"
	done
}

# At most so long: not every story gets to its point.
wait_for_point() {
	local end=$(($(now_ms) + 6000)) before=$1

	until died_at_point "$before"; do
		[ "$(now_ms)" -lt "$end" ] || {
			echo "$point was not reached"
			return 0
		}
		sleep 0.03
	done
	reached=$((reached + 1))
	reached_points+="$point"$'\n'
}

die() {
	local n

	sleep "$(seconds "$moment")"
	case $death in
	point) wait_for_point "$deaths_before" ;;
	worker)
		for ((n = 0; n < how_many; n++)); do
			# shellcheck disable=SC2046
			kill_one_of $(workers)
			sleep "$(seconds $((moment / 4)))"
		done
		;;
	workers) kill_workers ;;
	master) kill_master ;;
	everything) kill_holdfast_hard ;;
	esac
}

# The one that was told to die may still be there, or its workers still be dying.
end_of_program() {
	local pid

	[ -n "${holdfast_pid[$host]:-}" ] || return 0
	if process_ended "${holdfast_pid[$host]}"; then
		wait "${holdfast_pid[$host]}" 2>/dev/null || true
		unset "holdfast_pid[$host]"
	elif [ "$ending" = drain ]; then
		stop_holdfast
	else
		kill_holdfast_hard
	fi
	for pid in $(stack_pids); do
		wait_until 15 process_ended "$pid"
	done
}

# shellcheck disable=SC2317
all_clean() {
	local user

	for user in "${users[@]}"; do
		! sync_conflict "$user" || fail "$user has a conflict"
		sync_clean "$user" || return 1
	done
}

# Whoever was never let in, in a round of bad luck, is now.
# shellcheck disable=SC2317
all_served() {
	local user

	for user in "${users[@]}"; do
		is_served "$user" || return 1
	done
}

check() {
	local verb=$1 environment

	shift
	describe_environment
	env "${environment[@]}" HOLDFAST="$HOLDFAST" NODE_NO_WARNINGS=1 "$node" "$here/check.mjs" \
		"$verb" "$store_endpoint" "$stack/check" "$@" || fail "see above"
}

check_dead() {
	local user

	for user in "${users[@]}"; do
		check stored "$record" "$user" >/dev/null
	done
}

# A copy, so that what is looked at is not changed by looking.
check_healed() {
	local user file

	for user in "${users[@]}"; do
		file=$(local_file "$user")
		rm -f "$stack/check/local.db"*
		cp "$file" "$stack/check/local.db"
		[ ! -e "$file-wal" ] || cp "$file-wal" "$stack/check/local.db-wal"
		# Not under its name: whoever opens the copy would make a new one.
		[ ! -e "$file-shm" ] || cp "$file-shm" "$stack/check/local.db-index"
		get "$user" /v1/sync
		check healed "$record" "$user" "$stack/check/local.db" "$(jq .remote_txid "$BODY")"
	done
}

check_log() {
	local log=$stack/$host/holdfast.log

	if tail -n "+$((log_lines + 1))" "$log" |
		grep -aE '(push\.conflict|(record|spool)\.damaged) |Sanitizer|runtime error:|assertion'; then
		fail "the program has complained"
	fi
	log_lines=$(wc -l <"$log")
}

wipe_user() {
	local file

	file=$(local_file "$1" 2>/dev/null) || return 0
	rm -rf "$(dirname "$file")"
}

run_round() {
	local began deaths_before fault=

	began=$(now_ms)
	scenario="crash, round $round of seed $seed"
	plan
	tell
	deaths_before=$(deaths_at_points)
	if [ -n "$wiped" ] || [ "$death" = point ]; then
		stop_holdfast
		[ "$STATUS" = 0 ] || fail "the program ended with $STATUS"
		[ -z "$(stack_pids)" ] || fail "left over: $(stack_pids)"
		[ -z "$wiped" ] || wipe_user "${users[1]}"
		fault=${point:+$point:$arrival$along}
		start_holdfast
	fi
	start_writers
	make_weather "${weather[@]}" &
	weather_pid=$!
	die
	stop_writers
	fault=
	if [ "$death" != worker ] && [ "$death" != workers ]; then
		end_of_program
		check_dead
		start_holdfast
	fi
	wait_until 40 all_clean
	wait_until 10 all_served
	wait_until 10 all_clean
	check_healed
	check_log
	echo "round $round was $(($(now_ms) - began)) ms long"
}

# ---- all of them

# shellcheck disable=SC2317
say_how() {
	local pid

	[ -n "$finished" ] ||
		echo "again: make crash SEED=$seed ROUNDS=$round, or ROUND=$round make crash SEED=$seed" >&2
	for pid in $writers_pid $weather_pid; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	clean_up
}

grep -qa 'fault\.kills' "$HOLDFAST" || fail "$HOLDFAST has no fault points: make B=build/faults"
export HOLDFAST_RETRY_MAX_MS=1000 HOLDFAST_MAX_WAL_BYTES=4MiB
start_stack
trap say_how EXIT
KEEP=${KEEP:-after a failure}
mkdir "$stack/check"
record=$stack/record
: >"$record"
log_lines=0
reached_points=
for ((round = first; round <= last; round++)); do
	run_round
done
scenario=crash
check unchanged
stop_holdfast
[ -z "$(stack_pids)" ] || fail "left over: $(stack_pids)"
echo "$((last - first + 1)) rounds of seed $seed; $reached deaths at points:" \
	"$(sort <<<"${reached_points%$'\n'}" | uniq -c | xargs)"
[ "$KEEP" != "after a failure" ] || KEEP=
finish
