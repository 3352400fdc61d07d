#!/bin/bash
# Goal: nginx counts the requests of a token that is longer than 255 bytes, as RS256's are,
# and writes none to its log; what it answers by itself is JSON, however odd the request.
. "$(dirname "$0")/lib.sh"
STORE='file'
start_stack
jose key RS256 key one
jq -s '{keys: .}' "$stack/key.pub.jwk" >"$stack/jwks"
use_keys jwks
restart_holdfast
long=$(jose sign key.jwk '{}' "$(claims alice)")
[ "${#long}" -gt 255 ] || fail "the token is short"

# 128 that nginx has begun to pass on, none of which ends, and more.
ask_with "$long"
expect_status 200
mapfile -t stopped < <(workers)
kill -STOP "${stopped[@]}"
curl -s --parallel --parallel-immediate --parallel-max 150 --max-time 3 -o /dev/null \
	-w '%{http_code}\n' -H "Authorization: Bearer $long" "$(url)/v1/sync?[1-150]" \
	>"$stack/statuses" 2>/dev/null || true
kill -CONT "${stopped[@]}"
grep -q 429 "$stack/statuses" || fail "150 at a time: $(sort "$stack/statuses" | uniq -c | xargs)"
! grep -aq "${long:0:40}" "$stack/here/nginx-error.log" || fail "the token is in nginx's log"

# expect_refused_raw CODE REQUEST
expect_refused_raw() {
	printf '%b' "$2" | timeout 5 "$node" -e '
		const socket = require("net").connect(process.argv[1], "127.0.0.1");
		process.stdin.pipe(socket, { end: false });
		socket.pipe(process.stdout);' "${port[here]}" >"$stack/raw"
	[ "$(sed '1,/^\r$/d' "$stack/raw" | jq -r .code)" = "$1" ] || fail "$2: $(cat "$stack/raw")"
}

expect_refused_raw MALFORMED 'GET /v2 HTTP/9.9\r\nHost: x\r\n\r\n'
expect_refused_raw METHOD_NOT_ALLOWED 'TRACE /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
expect_refused_raw MALFORMED 'POST /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: gzip\r\n\r\n'
expect_refused_raw NOT_FOUND 'GET /.malformed HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
expect_refused_raw NOT_FOUND 'GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
finish
