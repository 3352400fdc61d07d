#!/bin/bash
# Goal: tokens of another signer are good in all four algorithms, with the key as PEM, as
# JWKS or as a secret, and only with the key and the algorithm that are configured: not
# with a public key taken for a secret, not unsigned, not with a change.
. "$(dirname "$0")/lib.sh"
STORE='file'
algorithms=(HS256 EdDSA ES256 RS256)
start_stack

for alg in "${algorithms[@]}"; do
	jose key "$alg" "$alg" "the-$alg"
	jose key "$alg" "other-$alg" "the-$alg"
	jose sign "$alg.jwk" '{}' "$(claims "user-$alg")" >"$stack/$alg.token"
	jose sign "other-$alg.jwk" '{}' "$(claims "user-$alg")" >"$stack/other-$alg.token"
done
jq -s '{keys: .}' "$stack"/{HS256,EdDSA.pub,ES256.pub,RS256.pub}.jwk >"$stack/all.jwks"
# The same secret as bytes.
jq -r '.k + "="' "$stack/HS256.jwk" | basenc --base64url -d >"$stack/HS256.pub.pem"

# expect_good ALG; the user is the token's, and nobody else's
expect_good() {
	ask_with "$(cat "$stack/$1.token")" "CREATE TABLE IF NOT EXISTS \"$1\"(x)"
	expect_status 200
	[ -f "$(local_file "user-$1")" ] || fail "there is no database of user-$1"
}

use_keys all.jwks
restart_holdfast
for alg in "${algorithms[@]}"; do
	expect_good "$alg"
	expect_token_refused "$(cat "$stack/other-$alg.token")"
done

# One key at a time, as a file of its own: only its tokens are good.
for alg in "${algorithms[@]}"; do
	use_keys "$alg.pub.pem"
	restart_holdfast
	for other in "${algorithms[@]}"; do
		if [ "$other" = "$alg" ]; then
			expect_good "$alg"
		else
			expect_token_refused "$(cat "$stack/$other.token")"
		fi
	done
	# What everybody can read is no secret, whatever it is said to be.
	expect_token_refused "$(jose unsigned "$(claims "user-$alg")")"
	[ "$alg" != HS256 ] || continue
	expect_token_refused "$(jose sign "$alg.pub.pem" '{}' "$(claims "user-$alg")")"
	expect_token_refused "$(jose sign "$alg.pub.pem" "{\"kid\":\"the-$alg\"}" "$(claims "user-$alg")")"
	head -c -1 "$stack/$alg.pub.pem" >"$stack/no-newline"
	expect_token_refused "$(jose sign no-newline '{}' "$(claims "user-$alg")")"
done

# The program's own tokens, with a private key in front.
for alg in EdDSA ES256 RS256; do
	use_keys "$alg.pem"
	restart_holdfast
	execute "own-$alg" "SELECT 1"
	expect_status 200
	expect_good "$alg"
done

# A payload that somebody has changed, under a signature that is good.
IFS=. read -r head _ signature <"$stack/RS256.token"
changed=$(claims mallory | basenc --base64url -w 0 | tr -d =)
expect_token_refused "$head.$changed.$signature"
expect_token_refused "$(cat "$stack/RS256.token")x"
expect_no_database mallory
finish
