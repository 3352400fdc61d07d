#!/bin/bash
# `make demo`: the whole thing on this machine, in a folder that goes away with
# it, until Ctrl-C.
#
#	HOLDFAST_DATA=...	keep the databases there instead
#	HOLDFAST_STORE=...	a real store instead of a folder, with what it needs
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:/usr/sbin

work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-demo.XXXXXX")
app=
nginx=

# shellcheck disable=SC2317
end() {
	trap - EXIT INT TERM
	[ -z "$nginx" ] || kill -QUIT "$nginx" 2>/dev/null || true
	if [ -n "$app" ] && kill -TERM "$app" 2>/dev/null; then
		echo "ending; what is not stored yet is being stored"
	fi
	wait || true
	rm -rf "$work"
}
trap end EXIT
trap 'exit 0' INT TERM

"$root/deploy/install-deps.sh" build
make -C "$root" --no-print-directory -j "$(nproc)"

: "${HOLDFAST_DATA:=$work/data}" "${HOLDFAST_STORE:=file:$HOLDFAST_DATA/store}"
export HOLDFAST_DATA HOLDFAST_STORE
export HOLDFAST_SOCKET=$work/app.%d.sock HOLDFAST_LOG=${HOLDFAST_LOG:-warn}
export HOLDFAST_AUTH=jwt
umask 077
mkdir -p "$HOLDFAST_DATA"
if [ -z "${HOLDFAST_JWT_KEY_FILE:-}" ]; then
	export HOLDFAST_JWT_KEY_FILE=$HOLDFAST_DATA/demo-key
	[ -s "$HOLDFAST_JWT_KEY_FILE" ] || openssl rand -base64 48 >"$HOLDFAST_JWT_KEY_FILE"
fi

# In the background a Ctrl-C at the terminal would reach the program, too.
set -m
"$root/build/holdfast" serve &
app=$!

# Any free port; another try if somebody takes it first.
for port in 8080 $(shuf -i 10000-19999 -n 20); do
	if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
		continue
	fi
	"$root/nginx/site.sh" "$work" "$port" "$work"
	nginx -c "$work/nginx.conf" 2>>"$work/nginx.out" &
	nginx=$!
	until [ -s "$work/nginx.pid" ] || ! kill -0 "$nginx" 2>/dev/null; do
		sleep 0.05
	done
	kill -0 "$nginx" 2>/dev/null && break
	nginx=
done
[ -n "$nginx" ] || {
	cat "$work/nginx.out" "$work/nginx-error.log" >&2
	exit 1
}
set +m

url=http://127.0.0.1:$port
until [ "$(curl -s -o /dev/null --max-time 2 -w '%{http_code}' "$url/healthz")" = 200 ]; do
	kill -0 "$app" 2>/dev/null || {
		echo "the program has ended" >&2
		exit 1
	}
	sleep 0.1
done

token=$("$root/build/holdfast" token alice --ttl 7d)

cat <<END

Holdfast runs: $url/

That is a page to try it on, too: sign in with the token below, which is alice's.
Another user gets one with

HOLDFAST_JWT_KEY_FILE=$HOLDFAST_JWT_KEY_FILE $root/build/holdfast token bob

T='$token'

curl -H "Authorization: Bearer \$T" $url/v1/execute -d '{"stmt":{"sql":"CREATE TABLE note(text)"}}'
curl -H "Authorization: Bearer \$T" $url/v1/execute -d '{"stmt":{"sql":"INSERT INTO note VALUES (?)","args":[{"type":"text","value":"hello"}]}}'
curl -H "Authorization: Bearer \$T" $url/v1/execute -d '{"stmt":{"sql":"SELECT * FROM note"}}'

What is in the store, and a restore from there alone:

curl -H "Authorization: Bearer \$T" $url/v1/sync
HOLDFAST_DATA=$HOLDFAST_DATA HOLDFAST_STORE=$HOLDFAST_STORE $root/build/holdfast restore alice -o /tmp/alice.db

Ctrl-C ends it.
END

wait -n "$app" "$nginx" || true
echo "something has ended by itself" >&2
exit 1
