# shellcheck shell=bash
#
# Words for scenarios.  A scenario is a numbered script beside this file:
#
#	#!/bin/bash
#	# Goal: a write accepted while the store is unreachable is reported, and
#	# reaches the store by itself.
#	. "$(dirname "$0")/lib.sh"
#	start_stack
#	store_answers 503
#	execute alice "CREATE TABLE note(text)"
#	expect_status 200
#	wait_until 10 sync_failed alice
#	store_answers normally
#	wait_until 10 sync_clean alice
#	expect_restored_equals_local alice
#	finish
#
# A stack is a store (a local R2 behind the fault proxy), and nginx and the
# program in front of it; all that it writes lies in $stack, a folder of its
# own, on ports of its own, so that scenarios run beside each other.  However a
# scenario ends, everything it started ends with it, by pid.
#
# To be set before start_stack:
#
#	STORE=file		a folder as the store: no proxy, no faults
#	WORKERS=n		4 if not set
#	export HOLDFAST_...	any variable of the program
#	store_address=url	where the program looks for the store, if not at the proxy
#	HOLDFAST=path		another binary; from outside, too
#	KEEP=1			leave $stack behind; from outside, too
#
# expect_... and start_... end the scenario when they fail; predicates to be
# waited for (sync_failed, sync_clean, store_calls_are ...) only say no.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scenario=$(basename "$0" .sh)
tools=$root/tests/tools
node=$root/tests/node_modules/.bin/node
: "${HOLDFAST:=$root/build/holdfast}"

# An installation that runs beside us is none of our business.
for name in $(compgen -e | grep -E '^(HOLDFAST_|AWS_)' || true); do
	unset "$name"
done
export HOLDFAST_RETRY_MIN_MS=200 HOLDFAST_RETRY_MAX_MS=2000

stack=
finished=
proxy_pid=
clock=
clocked_program=()
declare -A holdfast_pid nginx_pid port
# Of the latest request:
STATUS=000 MS=0 HEADERS='' BODY=''

# ---- failing

fail() {
	local depth

	echo "$scenario: $*" >&2
	for ((depth = 1; depth < ${#FUNCNAME[@]}; depth++)); do
		[ "${BASH_SOURCE[$depth]}" = "$0" ] || continue
		echo "	at line ${BASH_LINENO[$((depth - 1))]}" >&2
	done
	if [ -n "$HEADERS" ] && [ -f "$HEADERS" ]; then
		{ echo "	latest answer, after $MS ms:"; head -c 2000 "$HEADERS" "$BODY"; echo; } >&2
	fi
	exit 1
}

show_logs() {
	local log

	for log in "$stack"/*/holdfast.log "$stack"/*/nginx-error.log "$stack"/r2.log "$stack"/proxy.log; do
		[ -s "$log" ] || continue
		echo "--- ${log#"$stack"/}" >&2
		tail -n 40 "$log" | cut -c 1-400 >&2
	done
}

# Master, workers and commands of this stack: they carry its folder in their environment.
stack_pids() {
	local environment

	for environment in /proc/[0-9]*/environ; do
		if grep -qsaz "^HOLDFAST_DATA=$stack/" "$environment"; then
			basename "$(dirname "$environment")"
		fi
	done
}

clean_up() {
	local status=$? pid

	trap - EXIT
	# Nobody may be reading what we say.
	trap '' PIPE
	set +e
	[ -z "$clock" ] || rm -f "$clock"
	[ -n "$stack" ] || exit "$status"
	if [ -z "$finished" ]; then
		[ "$status" != 0 ] || status=1
		show_logs
		echo "not ok $scenario"
	fi
	exec 2>/dev/null
	for pid in "${nginx_pid[@]}" "$proxy_pid" "${store_pid:-}"; do
		[ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null
	done
	for pid in "${holdfast_pid[@]}"; do
		kill -STOP "$pid" 2>/dev/null
	done
	for pid in "${holdfast_pid[@]}" $(stack_pids); do
		kill -KILL "$pid" 2>/dev/null
	done
	wait
	if [ -n "${KEEP:-}" ]; then
		echo "kept: $stack"
	else
		rm -rf "$stack"
	fi
	exit "$status"
}

# The last word of a scenario.
finish() {
	if grep -lE '(Address|Leak|Thread)Sanitizer|runtime error:|assertion' "$stack"/*/holdfast.log >&2; then
		fail "the program has complained about itself"
	fi
	finished=1
	echo "ok $scenario"
	exit 0
}

# skip WHY: this machine cannot run the scenario, and whoever reads the result is told.
skip() {
	echo "skip $scenario: $*"
	exit 77
}

# Before start_stack: from here on the scenario can mount, and what it mounts goes
# with it.  Without root it takes a user namespace.
with_own_mounts() {
	local way=(unshare --mount)

	[ -z "${own_mounts:-}" ] || return 0
	[ "$(id -u)" = 0 ] || way+=(--map-root-user)
	"${way[@]}" mount -t tmpfs none /mnt 2>/dev/null || skip "mounting is not allowed"
	exec env own_mounts=1 "${way[@]}" bash "$0"
}

# Before its program is started: the disk of the current host, of this size.
mount_disk() {
	mount -t tmpfs -o "size=$1,mode=0700" none "$(data)"
}

# All that is left of it; again, if files without a name have gone since.
fill_disk() {
	dd if=/dev/zero of="$(data)/ballast" bs=4k oflag=append conv=notrunc 2>/dev/null &&
		fail "the disk has no end"
	return 0
}

empty_disk() {
	rm "$(data)/ballast"
}

# Before start_stack: what is started from then on has a wall clock of its own,
# which set_clock moves, at once and for all processes; the monotonic one stays.
with_own_clock() {
	local library

	library=$(find /usr/lib -name libfaketimeMT.so.1 2>/dev/null | head -n 1)
	[ -n "$library" ] || fail "libfaketime is not installed"
	clock=$(mktemp "${TMPDIR:-/tmp}/holdfast-clock.XXXXXX")
	clocked_program=(env LD_PRELOAD="$library" FAKETIME_TIMESTAMP_FILE="$clock" FAKETIME_NO_CACHE=1
		DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1)
	set_clock +0
}

# set_clock OFFSET: +3600 is an hour ahead.  Replaced in one step, or a reader finds half of it.
set_clock() {
	echo "$1" >"$clock.new"
	mv "$clock.new" "$clock"
}

# ---- waiting

now_ms() {
	echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

# wait_until SECONDS COMMAND...
wait_until() {
	local end=$(($(now_ms) + $1 * 1000)) seconds=$1

	shift
	until "$@"; do
		[ "$(now_ms)" -lt "$end" ] || fail "waited $seconds s in vain for: $*"
		sleep 0.03
	done
}

# wait_all PID...: subshells of the scenario, none of which may have failed.
wait_all() {
	local pid

	for pid in "$@"; do
		wait "$pid" || fail "what ran in the background failed"
	done
}

process_ended() {
	! kill -0 "$1" 2>/dev/null
}

# ---- the store

says_ready() {
	grep -q '^ready ' "$1"
}

# start_tool NAME ARGUMENTS...: sets tool_pid, and tool_says to what followed "ready".
start_tool() {
	local name=$1

	shift
	: >"$stack/$name.out"
	"$node" "$tools/$name.mjs" "$@" >"$stack/$name.out" 2>>"$stack/$name.log" &
	tool_pid=$!
	wait_until 60 says_ready "$stack/$name.out"
	tool_says=$(sed -n 's/^ready //p' "$stack/$name.out")
}

# The local R2 itself, past the proxy.  Its port stays, its objects too.
start_store() {
	start_tool r2 "$stack/r2" "${store_port:-0}"
	store_pid=$tool_pid
	store_endpoint=$tool_says
	store_port=${store_endpoint#http://*:}
	store_port=${store_port%%/*}
}

stop_store() {
	kill -TERM "$store_pid"
	wait_until 10 process_ended "$store_pid"
	wait "$store_pid" 2>/dev/null || true
	store_pid=
}

control() {
	curl -sS --fail-with-body --max-time 10 -X "$1" "http://127.0.0.1:$control_port$2" "${@:3}" ||
		fail "the fault proxy refused: $*"
}

# store_rule JSON: one more rule, see fault-proxy.mjs.
store_rule() {
	control POST /rules -d "$1" >/dev/null
}

# store_answers WEATHER, instead of what was before:
#	normally, refused, unreachable, silent, resets
#	STATUS [RETRY_AFTER]	to everything
#	lost			PUTs are stored and their answer is reset
#	late MS			PUTs are reset now and stored later
#	slowly MS		before everything is passed on
#	throttled BYTES_PER_S	PUTs
#	{...} or [...]		rules
store_answers() {
	case $1 in
	normally) control DELETE /rules >/dev/null ;;
	refused) store_rule '[{"action":"refuse"}]' ;;
	unreachable) store_rule '[{"action":"unreachable"}]' ;;
	silent) store_rule '[{"action":"silent"}]' ;;
	resets) store_rule '[{"action":"reset"}]' ;;
	[2-5][0-9][0-9]) store_rule "[{\"action\":\"status\",\"status\":$1${2:+,\"retry_after\":$2}}]" ;;
	lost) store_rule '[{"action":"lose-answer","method":"PUT"}]' ;;
	late) store_rule "[{\"action\":\"late\",\"method\":\"PUT\",\"ms\":$2}]" ;;
	slowly) store_rule "[{\"action\":\"delay\",\"before_ms\":$2}]" ;;
	throttled) store_rule "[{\"action\":\"throttle\",\"method\":\"PUT\",\"bytes_per_s\":$2}]" ;;
	'{'*) store_rule "[$1]" ;;
	'['*) store_rule "$1" ;;
	*) fail "store_answers: what is '$1'?" ;;
	esac
}

# store_calls [METHOD [PATH_REGEX]]: how many reached the proxy since the log was cleared.
store_calls() {
	control GET /count -G --data-urlencode "method=${1:-}" --data-urlencode "path=${2:-}"
}

# The same of those under way.
store_calls_open() {
	control GET /count -G --data-urlencode "method=${1:-}" --data-urlencode "path=${2:-}" -d open=1
}

# store_calls_are NUMBER [METHOD [PATH_REGEX]]; a predicate
store_calls_are() {
	[ "$(store_calls "${@:2}")" = "$1" ]
}

store_calls_reach() {
	[ "$(store_calls "${@:2}")" -ge "$1" ]
}

store_is_busy() {
	[ "$(store_calls_open "$@")" -gt 0 ]
}

# store_upload_reaches BYTES: so much of the latest request's body has come; a predicate
store_upload_reaches() {
	[ "$(control GET /log | jq '.requests[-1].body_bytes // 0')" -ge "$1" ]
}

expect_store_calls() {
	local seen

	seen=$(store_calls "${@:2}")
	[ "$seen" = "$1" ] || fail "the store got $seen calls ${*:2}, want $1"
}

# store_most_puts [USER]: how many were under way at the same time.
store_most_puts() {
	control GET /log | jq --arg user "${1:-*}" '.in_flight_max[$user] // 0'
}

store_log() {
	control GET /log | jq -c '.requests[]'
}

store_log_clear() {
	control DELETE /log >/dev/null
}

# store_object_keys [USER]: the keys in the store, sorted, past the proxy.
store_object_keys() {
	if [ "$STORE" = file ]; then
		(cd "$stack/store" 2>/dev/null && find . -name '*.ltx' -path "./${1:-*}/*" | sed 's|^./||' | sort)
	else
		s3 list "u/${1:+$1/}" | sort
	fi
}

# store_objects_are NUMBER [USER]; a predicate
store_objects_are() {
	[ "$(store_object_keys "${@:2}" | wc -l)" = "$1" ]
}

# s3 VERB ARGUMENTS...: as another host would, see s3.mjs.
s3() {
	local verb=$1

	shift
	"$node" "$tools/s3.mjs" "$verb" "$store_endpoint" "$@"
}

# ---- hosts
#
# Most scenarios have one host, `here`.  With start_host and on_host a second one
# works on the same store with a disk of its own.

host=here

on_host() {
	host=$1
}

data() {
	echo "$stack/$host/data"
}

# What the program of the current host has in its environment, into `environment`.
describe_environment() {
	environment=(
		HOLDFAST_DATA="$stack/$host/data"
		HOLDFAST_SOCKET="$stack/$host/run/app.%d.sock"
		HOLDFAST_STORE="$store_url"
		HOLDFAST_WORKERS="${WORKERS:-4}"
	)
	if [ -n "$store_endpoint" ]; then
		environment+=(
			HOLDFAST_S3_ENDPOINT="${store_address:-http://127.0.0.1:$proxy_port/cdn-cgi/local/r2/s3}"
			AWS_ACCESS_KEY_ID=local-key
			AWS_SECRET_ACCESS_KEY=local+secret/=
		)
	fi
	if [ -n "$key_file" ]; then
		environment+=(HOLDFAST_JWT_KEY_FILE="$key_file")
	fi
}

# holdfast COMMAND...: a command of the program on the current host.
holdfast() {
	local environment

	describe_environment
	env "${environment[@]}" "${clocked_program[@]}" "$HOLDFAST" "$@"
}

nginx_listens() {
	process_ended "${nginx_pid[$host]}" || [ -s "$stack/$host/nginx.pid" ]
}

start_nginx() {
	local try

	for try in 1 2 3 4 5; do
		port[$host]=$((10000 + RANDOM % 10000))
		"$root/nginx/site.sh" "$stack/$host" "${port[$host]}" "$stack/$host/run" ${htpasswd:+"$htpasswd"}
		rm -f "$stack/$host/nginx.pid"
		PATH=$PATH:/usr/sbin nginx -c "$stack/$host/nginx.conf" 2>>"$stack/$host/nginx.out" &
		nginx_pid[$host]=$!
		wait_until 20 nginx_listens
		process_ended "${nginx_pid[$host]}" || return 0
	done
	fail "nginx does not start, tried $try ports"
}

stop_nginx() {
	kill -QUIT "${nginx_pid[$host]}"
	wait "${nginx_pid[$host]}" || true
	unset "nginx_pid[$host]"
}

answers_health() {
	process_ended "${holdfast_pid[$host]}" ||
		[ "$(curl -s -o /dev/null --max-time 2 -w '%{http_code}' "$(url)/healthz")" = 200 ]
}

start_holdfast() {
	local environment

	describe_environment
	env "${environment[@]}" "${clocked_program[@]}" "$HOLDFAST" serve >>"$stack/$host/holdfast.log" 2>&1 &
	holdfast_pid[$host]=$!
	wait_until 20 answers_health
	process_ended "${holdfast_pid[$host]}" && fail "the program does not start"
	return 0
}

workers() {
	pgrep -P "${holdfast_pid[$host]}" || true
}

# TERM, and wait for the drain: sets MS; status of the program in STATUS.
stop_holdfast() {
	local began

	began=$(now_ms)
	kill -TERM "${holdfast_pid[$host]}"
	STATUS=0
	wait "${holdfast_pid[$host]}" || STATUS=$?
	MS=$(($(now_ms) - began))
	unset "holdfast_pid[$host]"
}

reload_holdfast() {
	kill -HUP "${holdfast_pid[$host]}"
}

# kill -9 of the master and every worker, with no moment for any of them to notice.
kill_holdfast_hard() {
	local master=${holdfast_pid[$host]} pids

	kill -STOP "$master"
	pids=$(workers)
	# shellcheck disable=SC2086
	kill -KILL $master $pids
	wait "$master" 2>/dev/null || true
	for pid in $pids; do
		wait_until 5 process_ended "$pid"
	done
	unset "holdfast_pid[$host]"
}

# kill -9 of the workers that have the user's database open; the master lives.
kill_worker_serving() {
	local pid found=

	for pid in $(workers); do
		if find "/proc/$pid/fd" -lname "*/$1/db.sqlite" 2>/dev/null | grep -q .; then
			kill -KILL "$pid"
			found=$pid
		fi
	done
	[ -n "$found" ] || fail "no worker has the database of $1 open"
}

kill_workers() {
	local pids

	pids=$(workers)
	[ -n "$pids" ] || fail "there are no workers"
	# shellcheck disable=SC2086
	kill -KILL $pids
}

# workers_replaced PID...: none of these is left, and there are as many others; a predicate
workers_replaced() {
	local now

	now=$(workers)
	[ "$(wc -w <<<"$now")" = $# ] && ! grep -qwF "$(printf '%s\n' "$@")" <<<"$now"
}

# log_lines EVENT: how often the program on the current host has said so.
log_lines() {
	grep -c " $1\( \|$\)" "$stack/$host/holdfast.log" || true
}

# log_lines_reach NUMBER EVENT; a predicate
log_lines_reach() {
	[ "$(log_lines "$2")" -ge "$1" ]
}

# A worker has the user's database open; a predicate
is_open() {
	local pid

	for pid in $(workers); do
		if find "/proc/$pid/fd" -lname "*/$1/db.sqlite" 2>/dev/null | grep -q .; then
			return 0
		fi
	done
	return 1
}

# So many requests are with the program; a predicate
requests_are_in() {
	[ "$(grep -c " 03 .* $stack/$host/run/app" /proc/net/unix)" -ge "$1" ]
}

# Only while the program is stopped.
wipe_disk() {
	[ -z "${holdfast_pid[$host]:-}" ] || fail "wipe_disk while the program runs"
	rm -rf "$(data)"
	mkdir -m 0700 "$(data)"
}

start_host() {
	host=$1
	mkdir -p "$stack/$host/run" "$stack/$host/data"
	chmod 0700 "$stack/$host/data"
	start_nginx
	start_holdfast
}

start_stack() {
	[ -x "$HOLDFAST" ] || fail "no program: $HOLDFAST"
	[ -x "$node" ] || fail "no tools: run tests/tools/setup.sh"
	stack=$(mktemp -d "${TMPDIR:-/tmp}/holdfast.XXXXXX")
	trap clean_up EXIT
	trap 'exit 143' TERM
	trap 'exit 130' INT
	mkdir "$stack/http" "$stack/tokens"

	: "${STORE:=s3}"
	store_endpoint=
	if [ "$STORE" = file ]; then
		store_url=file:$stack/store
	else
		store_url=s3://holdfast/u
		start_store
		start_tool fault-proxy "$store_port"
		proxy_pid=$tool_pid
		read -r proxy_port control_port <<<"$tool_says"
	fi

	htpasswd='' key_file=''
	if [ "${HOLDFAST_AUTH:-}" = remote_user ]; then
		htpasswd=$stack/htpasswd
		: >"$htpasswd"
	else
		key_file=$stack/key
		(umask 077; head -c 48 /dev/urandom | base64 >"$key_file")
	fi
	start_host here
}

# ---- requests

url() {
	echo "http://127.0.0.1:${port[$host]}"
}

# token USER: good for an hour; on every host, since they share the key.
token() {
	[ -s "$stack/tokens/$1" ] || holdfast token "$1" >"$stack/tokens/$1" || fail "no token for $1"
	cat "$stack/tokens/$1"
}

# request USER METHOD PATH [CURL_ARGUMENTS...]; USER may be - for nobody.
# Sets STATUS (000: no answer), MS, HEADERS and BODY (files).
request() {
	local user=$1 method=$2 path=$3 result who=()

	shift 3
	if [ "$user" != - ] && [ -n "$htpasswd" ]; then
		grep -q "^$user:" "$htpasswd" || echo "$user:{PLAIN}$user" >>"$htpasswd"
		who=(-u "$user:$user")
	elif [ "$user" != - ]; then
		who=(-H "Authorization: Bearer $(token "$user")")
	fi
	HEADERS=$stack/http/$BASHPID.headers
	BODY=$stack/http/$BASHPID.body
	: >"$HEADERS"
	: >"$BODY"
	result=$(curl -s --path-as-is --max-time 30 -X "$method" -D "$HEADERS" -o "$BODY" \
		-w '%{http_code} %{time_total}' "${who[@]}" "$@" "$(url)$path") || true
	STATUS=${result% *}
	MS=${result#* }
	MS=$((10#${MS/[.,]/} / 1000))
}

# get USER PATH [CURL_ARGUMENTS...]
get() {
	request "$1" GET "${@:2}"
}

# post USER PATH JSON [CURL_ARGUMENTS...]
post() {
	request "$1" POST "$2" -H 'Content-Type: application/json' --data-binary "$3" "${@:4}"
}

# execute USER SQL [CURL_ARGUMENTS...]
execute() {
	post "$1" /v1/execute "$(jq -cn --arg sql "$2" '{stmt: {sql: $sql}}')" "${@:3}"
}

# pipeline USER JSON [CURL_ARGUMENTS...]: the body as it goes out.
pipeline() {
	post "$1" /v2/pipeline "${@:2}"
}

# query USER SQL: the rows, columns by |, from the API.  Ends the scenario on an error.
query() {
	execute "$1" "$2"
	expect_status 200
	jq -r '.result.rows[] | map(.value // .base64 // "" | tostring) | join("|")' "$BODY"
}

# ---- tokens of another signer

# jose VERB ARGUMENTS...: see jose.mjs; file names are those in $stack.
jose() {
	(cd "$stack" && "$node" "$tools/jose.mjs" "$@")
}

# claims USER [JQ_EXPRESSION]: a payload that is good for an hour, and what is to be
# different, in which `now` is the time.
claims() {
	jq -cn --arg user "$1" "{sub: \$user, exp: (now + 3600 | floor)} | ${2:-.}"
}

# use_keys FILE...: in $stack; to be the program's from its next start or reload on.
use_keys() {
	key_file=$(printf "$stack/%s:" "$@")
	key_file=${key_file%:}
	rm -f "$stack/tokens"/*
}

restart_holdfast() {
	stop_holdfast
	start_holdfast
}

# ask_with TOKEN [SQL]: nobody but the token says who asks.
ask_with() {
	execute - "${2:-SELECT 1}" -H "Authorization: Bearer $1"
}

# expect_token_refused TOKEN [CODE]: in words that say no more than that.
expect_token_refused() {
	local code=${2:-TOKEN_INVALID} message='the token is not valid'

	[ "$code" != TOKEN_EXPIRED ] || message='the token has expired'
	ask_with "$1"
	expect_status 401
	expect_header WWW-Authenticate 'Bearer error="invalid_token"'
	expect_no_header X-Sync-Status
	expect_json . "{\"message\":\"$message\",\"code\":\"$code\",\"error\":\"$message\"}"
}

expect_no_database() {
	local found=("$(data)"/users/*/"$1")

	[ ! -e "${found[0]}" ] || fail "$1 has a database"
}

# ---- streams

# stream_begin USER REQUESTS...: a new stream; its baton in BATON, '' when it is closed.
# A request is SQL to be executed, or JSON.
stream_begin() {
	BATON=
	stream_go_on "$@"
}

# stream_go_on USER REQUESTS...: the next requests of the stream of BATON.
stream_go_on() {
	local user=$1

	shift
	post "$user" /v3/pipeline "$(jq -cn --arg baton "$BATON" \
		'{baton: (if $baton == "" then null else $baton end), requests: ($ARGS.positional |
		map(if startswith("{") then fromjson else {type: "execute", stmt: {sql: .}} end))}' \
		--args -- "$@")"
	BATON=
	[ "$STATUS" != 200 ] || BATON=$(jq -r '.baton // ""' "$BODY")
}

# shellcheck disable=SC2034
close_stream='{"type":"close"}'

# expect_result INDEX ROWS: of the latest pipeline, columns by |; for an error its code.
expect_result() {
	local seen

	expect_status 200
	seen=$(jq -r --argjson i "$1" '.results[$i] | if .type == "error" then .error.code else
		(.response.result.rows // [])[] | map(.value // .base64 // "" | tostring) | join("|")
		end' "$BODY")
	[ "$seen" = "$2" ] || fail "result $1 is '$seen', want '$2'"
}

# expect_refused STATUS CODE: with an error as clients read it
expect_refused() {
	expect_status "$1"
	expect_json .code "$2"
	expect_header Content-Type application/json
}

# sequence USER SQL: several statements in one request, all of which must succeed.
sequence() {
	pipeline "$1" "$(jq -cn --arg sql "$2" '{requests: [{type: "sequence", sql: $sql}]}')"
	expect_status 200
	expect_json '.results[0].type' ok
}

# post_times COUNT USER PATH JSON [CURL_ARGUMENTS...]: the same again and again,
# over one connection and so as fast as it goes; all of them must be a 200.
post_times() {
	local count=$1 user=$2 path=$3 seen

	seen=$(curl -s --max-time 120 -H "Authorization: Bearer $(token "$user")" \
		-H 'Content-Type: application/json' --data-binary "$4" -o /dev/null \
		-w '%{http_code}\n' "${@:5}" "$(url)$path?[1-$count]" | sort | uniq -c | xargs) || true
	[ "$seen" = "$count 200" ] || fail "of $count answers: $seen"
}

# time_posts COUNT USER PATH JSON [CURL_ARGUMENTS...]: the same without a judgement;
# prints "STATUS MS" of each.
time_posts() {
	local count=$1 user=$2 path=$3

	curl -s --max-time 120 -H "Authorization: Bearer $(token "$user")" \
		-H 'Content-Type: application/json' --data-binary "$4" -o /dev/null \
		-w '%{http_code} %{time_total}\n' "${@:5}" "$(url)$path?[1-$count]" |
		awk '{ print $1, int($2 * 1000) }' || true
}

header() {
	sed -n "s/^$1: *//Ip" "$HEADERS" | tr -d '\r' | tail -n 1
}

expect_status() {
	[ "$STATUS" = "$1" ] || fail "status is $STATUS, want $1"
}

expect_header() {
	local seen

	seen=$(header "$1")
	[ "$seen" = "$2" ] || fail "$1 is '$seen', want '$2'"
}

expect_no_header() {
	! grep -qi "^$1:" "$HEADERS" || fail "$1 is '$(header "$1")', want none"
}

# expect_json JQ_EXPRESSION VALUE: strings without quotes, the rest as compact JSON.
expect_json() {
	local seen

	seen=$(jq -rc "$1" "$BODY") || fail "the body is no JSON, or '$1' no question"
	[ "$seen" = "$2" ] || fail "$1 is '$seen', want '$2'"
}

# ask_for_push USER: `POST /v1/sync` beside the scenario, until expect_asked.
ask_for_push() {
	token "$1" >/dev/null
	(
		post "$1" /v1/sync ''
		echo "$STATUS" >"$stack/asked"
	) &
	asking=$!
}

# expect_asked STATUS: of its answer, which is waited for.
expect_asked() {
	wait_all "$asking"
	[ "$(cat "$stack/asked")" = "$1" ] || fail "who asked for a push got $(cat "$stack/asked"), want $1"
}

# percentile P NUMBER...
percentile() {
	local p=$1

	shift
	printf '%s\n' "$@" | sort -n | sed -n "$((($# * p + 99) / 100))p"
}

expect_faster_than() {
	[ "$MS" -lt "$1" ] || fail "took $MS ms, want less than $1"
}

# expect_rows USER SQL ROWS
expect_rows() {
	local seen

	seen=$(query "$1" "$2")
	[ "$seen" = "$3" ] || fail "'$2' gives '$seen', want '$3'"
}

# ---- where a user stands

sync_failed() {
	get "$1" /v1/sync
	[ "$(header X-Sync-Status)" = failed ]
}

sync_conflict() {
	get "$1" /v1/sync
	[ "$(header X-Sync-Status)" = conflict ]
}

# In step: nothing is flagged and nothing is on its way.
sync_clean() {
	get "$1" /v1/sync
	[ "$STATUS" = 200 ] && [ -z "$(header X-Sync-Status)" ] &&
		[ "$(jq -r '"\(.status) \(.pending_commits)"' "$BODY")" = "ok 0" ]
}

# sync_flagged_for ATTEMPTS USER: at least so many in a row have failed; a predicate
sync_flagged_for() {
	get "$2" /v1/sync
	[ "$(jq .failed_attempts "$BODY")" -ge "$1" ]
}

# txid_reaches NUMBER USER; a predicate
txid_reaches() {
	get "$2" /v1/sync
	[ "$(jq .remote_txid "$BODY")" -ge "$1" ]
}

# The user's database is here and answers; a predicate
is_served() {
	execute "$1" "SELECT 1"
	[ "$STATUS" = 200 ]
}

# No push of the user is under way, which is found out without a request; a predicate
no_push_of() {
	flock -n "$(dirname "$(local_file "$1")")/lock" true
}

# expect_told_everywhere USER STATUS: by answers of every kind; '' for no header.
expect_told_everywhere() {
	local want request

	while read -r want request; do
		eval "request $1 $request"
		expect_status "$want"
		expect_header X-Sync-Status "$2"
	done <<-'EOF'
		200 GET /v1/sync
		200 HEAD /v1/sync --head
		200 POST /v1/execute -d '{"stmt":{"sql":"SELECT 1"}}'
		200 POST /v2/pipeline -d '{"requests":[{"type":"execute","stmt":{"sql":"SELECT 1"}}]}'
		400 POST /v1/execute -d '{"stmt":{"sql":"SELECT nonsense"}}'
		400 POST /v2/pipeline -d '{'
		404 GET /no/such/path
		405 GET /v1/execute
		405 DELETE /v1/sync
	EOF
}

# expect_untold_until_clean SECONDS USER: no answer meanwhile may carry X-Sync-Status.
# Sets POLLS, the number of those answers.
expect_untold_until_clean() {
	local end=$(($(now_ms) + $1 * 1000))

	POLLS=0
	until [ "$POLLS" != 0 ] && sync_clean "$2"; do
		[ "$(now_ms)" -lt "$end" ] || fail "$2 is not clean after $1 s"
		get "$2" /v1/sync
		expect_status 200
		expect_no_header X-Sync-Status
		POLLS=$((POLLS + 1))
	done
}

# ---- what is measured

# Where the site shows the metrics, see site.sh.
metrics_url() {
	echo "http://127.0.0.1:$((port[$host] + 10000))"
}

# scrape: /metrics as Prometheus would read it, into $stack/metrics.
scrape() {
	curl -sS --fail --max-time 10 -o "$stack/metrics" "$(metrics_url)/metrics" || fail "no /metrics"
}

# metric SERIES: its value, 'NAME' or 'NAME{LABELS}' exactly as in the text.
metric() {
	scrape
	awk -v series="$1" '$1 == series { print $2; found = 1 } END { exit !found }' \
		"$stack/metrics" || fail "there is no $1"
}

# metric_is SERIES VALUE; a predicate
metric_is() {
	[ "$(metric "$1")" = "$2" ]
}

# metric_reaches SERIES VALUE: a whole number at least; a predicate
metric_reaches() {
	local seen

	seen=$(metric "$1")
	[ "${seen%.*}" -ge "$2" ]
}

expect_metric() {
	local seen

	seen=$(metric "$1")
	[ "$seen" = "$2" ] || fail "$1 is $seen, want $2"
}

# ---- what is in the store

# hold_lock USER: another program has the write lock of the database until release_lock.
hold_lock() {
	mkfifo "$stack/lock.in"
	timeout 30 sqlite3 -cmd '.dbconfig no_ckpt_on_close on' "$(local_file "$1")" \
		<"$stack/lock.in" >"$stack/lock.out" 2>&1 &
	exec 9>"$stack/lock.in"
	echo "BEGIN IMMEDIATE; SELECT 'held';" >&9
	wait_until 10 grep -q held "$stack/lock.out"
}

release_lock() {
	printf 'ROLLBACK;\n.quit\n' >&9
	exec 9>&-
	rm "$stack/lock.in"
}

# local_file USER
local_file() {
	local found=("$(data)"/users/*/"$1"/db.sqlite)

	[ -f "${found[0]}" ] || fail "there is no local file of $1"
	echo "${found[0]}"
}

# dump FILE: leaves the file and its WAL as they are.
dump() {
	sqlite3 -readonly -cmd '.timeout 5000' -cmd '.output /dev/null' \
		-cmd '.dbconfig no_ckpt_on_close on' -cmd '.output stdout' "$1" .dump
}

local_dump() {
	dump "$(local_file "$1")"
}

# restore USER [ARGUMENTS...]: into $restored, with the program; its status in STATUS.
restore() {
	restored=$stack/restored/$1.db
	mkdir -p "$stack/restored"
	rm -f "$restored" "$restored"-*
	STATUS=0
	holdfast restore "$1" -o "$restored" "${@:2}" >"$stack/restored/$1.out" 2>&1 || STATUS=$?
}

# restored_has USER SQL ROWS; a predicate
restored_has() {
	restore "$1"
	[ "$STATUS" = 0 ] && [ "$(sqlite3 -readonly "$restored" "$2" 2>&1)" = "$3" ]
}

expect_sound() {
	local seen

	seen=$(sqlite3 -readonly "$1" 'PRAGMA integrity_check' 2>&1) || true
	[ "$seen" = ok ] || fail "integrity_check of ${1#"$stack"/}: $seen"
}

# expect_rows_in FILE SQL ROWS: of a database that is not the program's.
expect_rows_in() {
	local seen

	seen=$(sqlite3 -readonly "$1" "$2" 2>&1) || true
	[ "$seen" = "$3" ] || fail "'$2' gives '$seen' in ${1#"$stack"/}, want '$3'"
}

expect_same_dump() {
	diff <(local_dump "$1") <(dump "$2") >"$stack/difference" ||
		fail "what was restored is not the local database: $(head -c 1000 "$stack/difference")"
}

expect_restored_equals_local() {
	restore "$@"
	[ "$STATUS" = 0 ] || fail "restore: $(tail -c 1000 "$stack/restored/$1.out")"
	[ ! -e "$restored-wal" ] || fail "the restored file has a WAL"
	expect_sound "$restored"
	expect_same_dump "$1" "$restored"
}

# The same with stock Litestream's reader.
expect_litestream_restores() {
	local objects=$stack/litestream/$1

	rm -rf "$objects"
	mkdir -p "$objects"
	if [ "$STORE" = file ]; then
		cp -r "$stack/store/$1/." "$objects"
	else
		s3 mirror "u/$1/" "$objects"
	fi
	"$root/tests/integration/litestream.sh" "$objects" "$objects.db" ||
		fail "Litestream cannot restore $1"
	expect_sound "$objects.db"
	expect_same_dump "$1" "$objects.db"
}
