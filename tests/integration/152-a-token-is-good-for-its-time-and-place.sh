#!/bin/bash
# Goal: exp and nbf are judged with the leeway and no more, aud and iss where they are
# configured, "a":"ro" reads only; what is wrong with a token is told by two codes, and
# it has cost no look at a database.
. "$(dirname "$0")/lib.sh"
STORE='file'
export HOLDFAST_JWT_LEEWAY_S=60
start_stack
jose key ES256 key
use_keys key.pub.pem
restart_holdfast

made() {
	jose sign key.jwk '{}' "$(claims "$@")"
}

expect_good() {
	ask_with "$1"
	expect_status 200
}

# Far enough from the edge for a slow machine.
expect_good "$(made alice '.exp = now - 30')"
expect_token_refused "$(made bob '.exp = now - 62')" TOKEN_EXPIRED
expect_token_refused "$(made bob '.exp = 1')" TOKEN_EXPIRED
expect_token_refused "$(made bob 'del(.exp)')"
expect_token_refused "$(made bob '.exp |= tostring')"
expect_good "$(made alice '.nbf = now + 50')"
expect_token_refused "$(made bob '.nbf = now + 120')"
# More than one thing is wrong: expired is said of good ones only.
expect_token_refused "$(made bob '.exp = 1 | .nbf = now + 120')"
expect_token_refused "$(made ../bob '.exp = 1')"
expect_token_refused "$(made ../bob)"
expect_token_refused "$(made bob '.a = "rw"')"
expect_good "$(made alice '.aud = "elsewhere" | .iss = "anybody"')"

# Without a token one is asked for, and that is all.
execute - 'SELECT 1'
expect_status 401
expect_header WWW-Authenticate Bearer
expect_json .code UNAUTHORIZED

ask_with "$(made alice)" 'CREATE TABLE note(text)'
expect_status 200
reader=$(made alice '.a = "ro"')
ask_with "$reader" 'SELECT count(*) FROM note'
expect_status 200
ask_with "$reader" "INSERT INTO note VALUES ('x')"
[ "$STATUS" != 200 ] || fail "a token that reads only has written"
expect_rows_in "$(local_file alice)" 'SELECT count(*) FROM note' 0

export HOLDFAST_JWT_AUDIENCE=holdfast HOLDFAST_JWT_ISSUER=https://id.example.com/
restart_holdfast
expect_good "$(made alice '.aud = "holdfast" | .iss = "https://id.example.com/"')"
expect_good "$(made alice '.aud = ["web", "holdfast"] | .iss = "https://id.example.com/"')"
expect_token_refused "$(made bob)"
expect_token_refused "$(made bob '.aud = "holdfast"')"
expect_token_refused "$(made bob '.iss = "https://id.example.com/"')"
expect_token_refused "$(made bob '.aud = "web" | .iss = "https://id.example.com/"')"
expect_token_refused "$(made bob '.aud = ["web", "hold"] | .iss = "https://id.example.com/"')"
expect_token_refused "$(made bob '.aud = "holdfast" | .iss = "https://id.example.com"')"

# The program's own tokens are for the same place.
use_keys key.pem
restart_holdfast
execute carol 'SELECT 1'
expect_status 200

expect_no_database bob
# No token in a log, whole or in part.
! grep -rqF -e "${reader:0:60}" -e "${reader##*.}" "$stack/here/holdfast.log" "$stack/here/nginx-error.log" ||
	fail "a token is in a log"
finish
