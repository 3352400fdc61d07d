#!/bin/bash
# Goal: with HOLDFAST_AUTH=remote_user the user is the one whose password nginx has
# checked, whatever headers a client sends, and also where no password is asked for.
. "$(dirname "$0")/lib.sh"
STORE='file'
export HOLDFAST_AUTH=remote_user
start_stack
execute alice 'CREATE TABLE secret(text)'
expect_status 200
execute mallory "SELECT 1"
expect_status 200

names=(-H 'Remote-User: alice' -H 'REMOTE_USER: alice' -H 'Remote_User: alice' -H 'X-Remote-User: alice'
	-H 'HTTP_REMOTE_USER: alice' -H 'HTTP-REMOTE-USER: alice' -H 'REDIRECT_REMOTE_USER: alice'
	-H 'X-Forwarded-User: alice' -H 'User: alice' -H 'Proxy: alice')

# Nobody stays nobody, and it is nginx that says so.
for header in "${names[@]}" 'Authorization: Bearer alice' 'Authorization: Basic YWxpY2U6' \
	'Authorization: Basic YWxpY2U=' 'Authorization: Basic YWxpY2U6d3Jvbmc='; do
	[ "$header" != -H ] || continue
	execute - 'SELECT * FROM secret' -H "$header"
	expect_status 401
	expect_header WWW-Authenticate 'Basic realm="Holdfast"'
	expect_no_header X-Sync-Status
done

# Somebody stays who they are.
execute mallory 'SELECT * FROM secret' "${names[@]}"
expect_status 400
expect_json .code SQLITE_UNKNOWN
execute mallory 'SELECT * FROM secret' -H 'Authorization: Basic YWxpY2U6d3Jvbmc='
[ "$STATUS" != 200 ] || fail "a second header has made mallory alice"

# Where no password is asked for, there is no user, not even for the status.
anyone=(-u alice:wrong "${names[@]}")
for path in /healthz /readyz; do
	for method in GET POST DELETE; do
		request - "$method" "$path" "${anyone[@]}"
		expect_no_header X-Sync-Status
	done
done
get - /healthz "${anyone[@]}"
expect_status 200
# What only looks like such a place.
for path in /healthz%0a /healthz/ /healthz/../v1/sync /healthz/%2e%2e/v1/sync /healthz%00 '/healthz?/v1/sync#' \
	/HEALTHZ /healthz%0a/v1/sync //v1/sync /readyz%0a; do
	get - "$path" "${anyone[@]}"
	expect_no_header X-Sync-Status
	case $path in
	*\?*) expect_status 200 ;;
	*%00) expect_status 400 ;;
	*) expect_status 401 ;;
	esac
done
grep -q ' user=mallory .* status=400' "$stack/here/holdfast.log" || fail "nothing of mallory in the log"
! grep -q ' user=alice .* path=other ' "$stack/here/holdfast.log" ||
	fail "something was served as alice without a password"

# An id that is none is nobody, though nginx knows the password.
execute 'a b' 'SELECT 1'
expect_status 401
expect_json .code UNAUTHORIZED
finish
