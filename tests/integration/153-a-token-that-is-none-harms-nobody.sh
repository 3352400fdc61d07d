#!/bin/bash
# Goal: tokens that are too long, too deep, cut or garbage get the same 401 as any other,
# no worker dies of them, and others are served meanwhile.
. "$(dirname "$0")/lib.sh"
STORE='file'
start_stack
jose key RS256 key one
jq -s '{keys: .}' "$stack/key.pub.jwk" >"$stack/jwks"
use_keys jwks
restart_holdfast
good=$(jose sign key.jwk '{}' "$(claims alice)")
mapfile -t before < <(workers)

encode() {
	basenc --base64url -w 0 | tr -d =
}

zeros() {
	head -c "$1" /dev/zero | tr '\0' "$2"
}

IFS=. read -r head payload signature <<<"$good"
# What is signed well and still too much.
expect_token_refused "$(jose sign key.jwk "{\"x\":\"$(zeros 3000 x)\"}" "$(claims alice)")"
expect_token_refused "$(jose sign key.jwk "{\"x\":$(zeros 6 '[')1$(zeros 6 ']')}" "$(claims alice)")"
expect_token_refused "$(jose sign key.jwk '{"crit":["x"],"x":1}' "$(claims alice)")"
expect_token_refused "$(jose sign key.jwk '{}' "{\"x\":$(zeros 40 '[')1$(zeros 40 ']')}")"
expect_token_refused "$(jose sign key.jwk '{}' "$(claims alice '.x = [range(600)]')")"
expect_token_refused "$(jose sign key.jwk '{}' 'no JSON')"
expect_token_refused "$(jose sign key.jwk '{}' '[]')"

for token in a.b.c .. ... a. .b. "$head" "$head.$payload" "$head.$payload." ".$payload.$signature" \
	"$head..$signature" "$good." "$good.x" "$good=" "$payload.$head.$signature" \
	"$head.$payload.${signature:0:100}" "$head.$payload.$signature$signature" \
	"$(printf '{"alg":"RS256","alg":"none"}' | encode).$payload.$signature" \
	"$(printf '{"alg":"RS256"' | encode).$payload.$signature" \
	"$(zeros 500 '{' | encode).$payload.$signature" \
	"$(zeros 300 '[' | encode).$payload.$signature" \
	"$(printf '\377\376\000' | encode).$payload.$signature" \
	"$(zeros 6000 A)" "$(zeros 3000 A).$(zeros 3000 A).$(zeros 1000 A)" "$(zeros 5000 .)"; do
	expect_token_refused "$token"
	ask_with "$good"
	expect_status 200
done

# Long ones are good, up to what nginx takes for a header.
ask_with "$(jose sign key.jwk '{}' "$(claims alice ".x = \"$(zeros 5000 x)\"")")"
expect_status 200
for token in "$(jose sign key.jwk '{}' "$(claims alice ".x = \"$(zeros 7000 x)\"")")" "$(zeros 20000 A)"; do
	ask_with "$token"
	expect_status 400
	expect_json .code MALFORMED
done

# A crowd of them beside somebody who works.
curl -s --max-time 60 -o /dev/null -w '%{http_code}\n' "$(url)/v1/sync?[1-2000]" \
	-H "Authorization: Bearer $head.$payload.$(zeros 342 A)" | sort | uniq -c >"$stack/crowd" &
crowd=$!
for _ in $(seq 20); do
	ask_with "$good"
	expect_status 200
done
wait_all "$crowd"
[ "$(xargs <"$stack/crowd")" = "2000 401" ] || fail "the crowd was answered: $(cat "$stack/crowd")"
[ "$(workers | xargs)" = "${before[*]}" ] || fail "a worker has died"
[ "$(cd "$(data)/users" && echo */*)" = "$(cd "$(data)/users" && echo */alice)" ] ||
	fail "somebody else has a database"
finish
