#!/bin/bash
# Goal: a store whose certificate is of an unknown authority, expired or for another name, or
# that speaks an old TLS only, gets no request and no credentials, and the reason is told; with
# the right authority it works; and with http anywhere but on loopback it does not start.
. "$(dirname "$0")/lib.sh"

start_stack
cd "$stack" || fail "no folder"

# make_authority NAME
make_authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" \
		-keyout "$1.key" -out "$1.pem" 2>/dev/null
}

# make_certificate NAME AUTHORITY SUBJECT_ALT_NAME [COMMAND...]: NAME.pem, NAME.key
make_certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" \
		-out "$1.csr" 2>/dev/null
	echo "subjectAltName=$3" >"$1.ext"
	"${@:4}" openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 20 \
		-extfile "$1.ext" -out "$1.pem" 2>/dev/null
}

make_authority ours
make_authority theirs
here=IP:127.0.0.1,DNS:localhost
make_certificate good ours $here
make_certificate unknown theirs $here
make_certificate expired ours $here faketime '2020-01-01 00:00:00'
make_certificate other ours DNS:store.example

declare -A tls_port
for name in good unknown expired other old; do
	certificate=$name version=TLSv1.3
	[ "$name" != old ] || certificate=good version=TLSv1.1
	start_tool tls-proxy "$certificate.pem" "$certificate.key" "$store_port" "$name.seen" "$version"
	nginx_pid["tls-$name"]=$tool_pid
	tls_port[$name]=$tool_says
done

# use_store NAME [HOST]
use_store() {
	store_address=https://${2:-127.0.0.1}:${tls_port[$1]}/cdn-cgi/local/r2/s3
}

# expect_refused NAME REASON
expect_refused() {
	use_store "$1"
	if holdfast check --store >check.out 2>&1; then
		fail "$1: the store is good enough for check"
	fi
	grep -qE "^FAILED +create +.*, $2: " check.out || fail "$1: $(cat check.out)"
	[ ! -s "$1.seen" ] || fail "$1 was sent: $(cat "$1.seen")"
}

export SSL_CERT_FILE=$stack/ours.pem
expect_refused unknown certificate
expect_refused expired certificate
expect_refused other certificate
expect_refused old connect
for name in 127.0.0.1 localhost; do
	use_store good $name
	holdfast check --store >check.out 2>&1 || fail "$name: $(cat check.out)"
done
grep -q '^PUT ' good.seen || fail "the good store has seen: $(cat good.seen)"
# Of the authority that is named, and no other.
use_store good
for SSL_CERT_FILE in "$stack/theirs.pem" ''; do
	: >good.seen
	expect_refused good certificate
done

# The service says the same to its users, and heals once it knows better.
stop_holdfast
SSL_CERT_FILE=$stack/theirs.pem
use_store good
start_holdfast
execute alice "CREATE TABLE note(text)"
expect_status 503
[ ! -s good.seen ] || fail "a first access was sent to whom nobody knows"
stop_holdfast
store_address=
start_holdfast
execute alice "CREATE TABLE note(text)"
expect_status 200
wait_until 10 sync_clean alice
stop_holdfast
use_store good
start_holdfast
execute alice "INSERT INTO note VALUES ('waits')"
expect_status 200
wait_until 10 sync_failed alice
get alice /v1/sync
expect_json .last_error certificate
grep -q ' s3.failed .*error=certificate' here/holdfast.log || fail "the log does not say why"
[ ! -s good.seen ] || fail "sent to whom nobody knows: $(cat good.seen)"
stop_holdfast
SSL_CERT_FILE=$stack/ours.pem
use_store good localhost
start_holdfast
wait_until 10 sync_clean alice
grep -q '^PUT .*/alice/' good.seen || fail "the good store has seen: $(cat good.seen)"
expect_restored_equals_local alice
stop_holdfast

# Without TLS only where nobody is on the way.
for store_address in http://192.0.2.1/ http://localhost.example/; do
	if holdfast serve >serve.out 2>&1 </dev/null; then
		fail "it starts with $store_address"
	fi
	grep -q 'http is for loopback addresses only' serve.out || fail "$store_address: $(cat serve.out)"
done
finish
