#!/bin/bash
# Goal: Prometheus' own tool accepts /metrics, the alerts and the dashboard's
# queries, the alerts do what their tests say, and every metric that they name
# exists.
. "$(dirname "$0")/lib.sh"
STORE="file"
start_stack

deploy=$root/deploy
promtool=$tools/promtool.sh

expect_promtool() {
	timeout 60 "$promtool" "$@" >"$stack/promtool.out" 2>&1 || fail "promtool $*: $(cat "$stack/promtool.out")"
}

execute alice "CREATE TABLE note(text)"
wait_until 10 sync_clean alice
scrape
expect_promtool check metrics <"$stack/metrics"
[ ! -s "$stack/promtool.out" ] || fail "promtool on /metrics: $(cat "$stack/promtool.out")"
curl -s -o /dev/null -D "$stack/head" "$(metrics_url)/metrics"
grep -qi $'^content-type: text/plain; version=0.0.4; charset=utf-8\r$' "$stack/head" || fail "$(cat "$stack/head")"

expect_promtool check rules "$deploy/prometheus/holdfast.rules.yml"
expect_promtool test rules "$deploy/prometheus/holdfast.rules.test.yml"
# Each alert has been seen to fire in these.
sed -n 's/.*- alert: //p' "$deploy/prometheus/holdfast.rules.yml" >"$stack/alerts"
while read -r alert; do
	grep -A1 "alertname: $alert\$" "$deploy/prometheus/holdfast.rules.test.yml" | grep -q 'exp_alerts:$' ||
		fail "no test lets $alert fire"
done <"$stack/alerts"

# A query of the dashboard becomes a rule, which promtool parses.
jq -r '.panels[].targets[].expr' "$deploy/grafana/holdfast.json" >"$stack/queries"
[ "$(wc -l <"$stack/queries")" -ge 20 ] || fail "the dashboard has hardly a query"
sed "s/[$]__rate_interval/5m/g; s/[$]instance/.*/g" "$stack/queries" |
	jq -Rn '{groups: [{name: "dashboard", rules: [inputs] | to_entries |
		map({record: "dashboard:query:\(.key)", expr: .value})}]}' >"$stack/dashboard.yml"
! grep -q '\$' "$stack/dashboard.yml" || fail "a variable is left: $(grep '\$' "$stack/dashboard.yml")"
expect_promtool check rules "$stack/dashboard.yml"

# Names of series: a histogram's are those of its parts.
sed -n 's/^\([a-z_]*\)[{ ].*/\1/p' "$stack/metrics" | sort -u >"$stack/series"
{
	cat "$stack/queries"
	jq -r '.templating.list[].query | strings, .query?' "$deploy/grafana/holdfast.json"
	sed -n 's/^ *expr: //p' "$deploy/prometheus/holdfast.rules.yml"
	sed -n "s/.*series: '//p" "$deploy/prometheus/holdfast.rules.test.yml"
} | grep -oE '(holdfast|process)_[a-z_]+' | sort -u >"$stack/named"
[ "$(wc -l <"$stack/named")" -ge 20 ] || fail "hardly a metric is named"
missing=$(comm -23 "$stack/named" "$stack/series")
[ -z "$missing" ] || fail "there are no such metrics: $missing"
unused=$(grep ^holdfast_ "$stack/series" | grep -vE '_(sum|count)$' | comm -23 - "$stack/named")
known="holdfast_http_requests_dropped_total
holdfast_pull_duration_seconds_bucket
holdfast_worker_starts_total"
[ "$unused" = "$known" ] || fail "nobody looks at: $unused"
finish
