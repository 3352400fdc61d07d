#!/bin/bash
# Goal: /metrics counts what all workers have done, exactly, whichever of them
# is asked; a killed worker and a reload take nothing of it along.  The world
# does not get to see it.
. "$(dirname "$0")/lib.sh"
start_stack

reads=holdfast_http_requests_total'{route="execute",code="2xx"}'
latency=holdfast_http_request_duration_seconds
read_one='{"stmt":{"sql":"SELECT 1"}}'
want=0

# expect_counted NUMBER: so many more reads than before.
expect_counted() {
	want=$((want + $1))
	expect_metric "$reads" "$want"
}

# read_times COUNT: by users of both sockets, so that more than one worker has answered.
read_times() {
	local user

	for user in $users; do
		post_times "$1" "$user" /v1/execute "$read_one"
	done
}

users="alice bob carol dave"
for user in $users; do
	execute "$user" "CREATE TABLE note(text)"
	expect_status 200
	wait_until 10 sync_clean "$user"
done
expect_counted 4
read_times 15
expect_counted 60
[ "$(holdfast status --json | jq '[.workers[] | select(.requests > 0)] | length')" -ge 2 ] ||
	fail "one worker has answered everything"

starts=$(metric holdfast_worker_starts_total)
before=$(workers)
kill_workers
# shellcheck disable=SC2086
wait_until 10 workers_replaced $before
wait_until 10 answers_health
expect_counted 0
read_times 15
expect_counted 60
expect_metric holdfast_worker_deaths_total 4
expect_metric holdfast_worker_starts_total "$((starts + 4))"
expect_metric holdfast_workers 4

began=$(metric process_start_time_seconds)
reload_holdfast
wait_until 10 log_lines_reach 2 master.ready
expect_counted 0
read_times 10
expect_counted 40
expect_metric 'holdfast_reloads_total{result="done"}' 1
expect_metric process_start_time_seconds "$began"

# Answers of other classes and routes are not among these.
for n in 1 2 3; do
	execute alice "SELECT nonsense"
	expect_status 400
done
get alice /v1/sync
expect_metric 'holdfast_http_requests_total{route="execute",code="4xx"}' 3
expect_counted 0

# Each histogram: counts grow with the bound, the last is that of all requests, and
# the sum lies between what the buckets allow.
scrape
awk -v latency="$latency" '
	function value(text, name) {
		sub(".*" name "=\"", "", text)
		sub("\".*", "", text)
		return text
	}
	index($1, "holdfast_http_requests_total{") == 1 { answered[value($1, "route")] += $2 }
	index($1, latency "_bucket{") == 1 {
		route = value($1, "route")
		bound = value($1, "le")
		if ($2 < last[route]) bad("a bucket of " route " is smaller than the one before")
		more = $2 - last[route]
		least[route] += more * below[route]
		if (bound == "+Inf") all[route] = $2
		else most[route] += more * bound
		if (bound == "+Inf" && more > 0) most[route] = 1e9
		below[route] = bound
		last[route] = $2
	}
	index($1, latency "_sum{") == 1 { sum[value($1, "route")] = $2 }
	index($1, latency "_count{") == 1 { count[value($1, "route")] = $2 }
	function bad(why) { print why; failed = 1 }
	END {
		for (route in answered) {
			routes++
			if (answered[route] != all[route] || all[route] != count[route])
				bad(route ": " answered[route] " answers, " all[route] " in buckets, " count[route])
			if (sum[route] + 1e-6 < least[route] || sum[route] > most[route] + 1e-6)
				bad(route ": the sum " sum[route] " is not in " least[route] ".." most[route])
		}
		if (routes != 6 || all["execute"] < 160 || sum["execute"] <= 0) bad("too little was measured")
		exit failed
	}' "$stack/metrics" >"$stack/judgement" || fail "$(cat "$stack/judgement")"

for path in /metrics /metrics/ /%6detrics; do
	get - "$path"
	[ "$STATUS" = 404 ] || [ "$STATUS" = 401 ] || fail "$path is answered with $STATUS"
done
for path in / /healthz /v1/sync /v2; do
	[ "$(curl -s -o /dev/null -w '%{http_code}' "$(metrics_url)$path")" = 404 ] ||
		fail "$path is served where the metrics are"
done
finish
