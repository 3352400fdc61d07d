#!/bin/bash
# Goal: a new key is introduced beside the old one by a reload, tokens of both are good,
# and after the old one is taken away its tokens are not; a reload with keys that are of
# no use changes nothing; `check` lists the keys and no secret.
. "$(dirname "$0")/lib.sh"
STORE='file'
start_stack
jose key ES256 old 2026-01
jose key ES256 new 2026-02
jose key HS256 shared backend
jose key RS256 named 2026-01
old=$(jose sign old.jwk '{}' "$(claims alice)")
nameless=$(jose sign old.jwk '{"kid":null}' "$(claims alice)")
new=$(jose sign new.jwk '{}' "$(claims alice)")
shared=$(jose sign shared.jwk '{}' "$(claims alice)")

# publish KEY...: replaces the set by these, in one step
publish() {
	(cd "$stack" && jq -s '{keys: .}' "$@") >"$stack/jwks.new"
	mv "$stack/jwks.new" "$stack/jwks"
}

reload() {
	local before

	mapfile -t before < <(workers)
	reload_holdfast
	wait_until 30 workers_replaced "${before[@]}"
}

expect_good() {
	ask_with "$1"
	expect_status 200
}

publish old.pub.jwk
use_keys jwks
restart_holdfast
expect_good "$old"
expect_token_refused "$new"
# A kid is text.
expect_token_refused "$nameless"

# Written, but not yet read.
publish old.pub.jwk new.pub.jwk shared.jwk named.pub.jwk
expect_token_refused "$new"
mapfile -t before < <(workers)
kill_workers
wait_until 20 workers_replaced "${before[@]}"
expect_token_refused "$new"
expect_good "$old"

reload
expect_good "$old"
expect_good "$new"
expect_good "$shared"

# One that no key here goes with.
expect_token_refused "$(jose sign new.jwk '{"kid":"2026-01"}' "$(claims alice)")"
expect_token_refused "$(jose sign new.jwk '{"kid":"2026-03"}' "$(claims alice)")"

publish new.pub.jwk
reload
expect_token_refused "$old"
expect_token_refused "$shared"
expect_good "$new"

# None of use: the log says why, and everything stays.
mapfile -t before < <(workers)
jq '.keys[].use = "enc"' "$stack/jwks" >"$stack/none"
cp "$stack/none" "$stack/jwks"
reload_holdfast
wait_until 20 log_lines_reach 1 master.reload_refused
grep -q ' trial\[.* jwt_key.refused why="this JWKS has no key that is of use' "$stack/here/holdfast.log" ||
	fail "the log does not say why"
grep -q ' trial\[.* jwt_key.skipped .* kid="2026-02"' "$stack/here/holdfast.log" ||
	fail "the log does not say which"
[ "$(workers | xargs)" = "${before[*]}" ] || fail "workers were replaced"
expect_good "$new"

# What is configured, for the operator.
publish new.pub.jwk shared.jwk
jq '.keys += [{kty: "PQC", kid: "later"}]' "$stack/jwks" >"$stack/more"
jose key EdDSA ed
use_keys more ed.pub.pem
holdfast check >"$stack/check" || fail "check: $(cat "$stack/check")"
grep ' key ' "$stack/check" >"$stack/keys"
diff - "$stack/keys" <<-END || fail "check does not list the keys"
	ok      key           ES256, EC P-256, kid=2026-02, $stack/more
	ok      key           HS256, secret, kid=backend, $stack/more
	skipped key           kid=later, $stack/more: its kty is none of oct, OKP, EC and RSA
	ok      key           EdDSA, Ed25519, $stack/ed.pub.pem
END
! grep -qF "$(jq -r .k "$stack/shared.jwk")" "$stack/check" "$stack/here/holdfast.log" ||
	fail "a secret is shown"

use_keys none
! holdfast check >"$stack/check" || fail "check accepts keys that are of no use"
grep -q '^FAILED  key  *this JWKS has no key that is of use' "$stack/check" || fail "check says nothing"
stop_holdfast
! holdfast serve >"$stack/serve" 2>&1 || fail "it starts without a key"
grep -q ' jwt_key.refused ' "$stack/serve" || fail "it does not say why it does not start"
finish
