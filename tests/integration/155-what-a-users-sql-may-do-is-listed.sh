#!/bin/bash
# Goal: SQL that reaches beyond the user's database is refused with a code and a name,
# and the next request goes on; what a user planted runs with nobody else's rights.
. "$(dirname "$0")/lib.sh"
start_stack

# refused SQL CODE MESSAGE
refused() {
	execute alice "$1"
	expect_status 400
	expect_json .code "$2"
	[[ $(jq -r .message "$BODY") == *"$3"* ]] || fail "'$1' says $(jq -r .message "$BODY")"
	expect_rows alice "SELECT text FROM note" hello
}

execute alice "CREATE TABLE note(text)"
execute alice "INSERT INTO note VALUES ('hello')"
expect_status 200
refused "ATTACH '$stack/x' AS x" SQLITE_AUTH 'not allowed here: ATTACH'
refused "DETACH main" SQLITE_AUTH 'not allowed here: DETACH'
refused "VACUUM INTO '$stack/x'" SQLITE_AUTH 'not allowed here: VACUUM INTO'
refused "SELECT load_extension('$stack/x')" SQLITE_AUTH 'not allowed here: load_extension'
refused "SELECT fts3_tokenizer('simple')" SQLITE_AUTH 'not allowed here: fts3_tokenizer'
refused "PRAGMA journal_mode=DELETE" SQLITE_AUTH 'not allowed here: setting PRAGMA journal_mode'
refused "PRAGMA wal_checkpoint" SQLITE_AUTH 'not allowed here: PRAGMA wal_checkpoint'
refused "PRAGMA temp_store_directory='$stack'" SQLITE_AUTH 'PRAGMA temp_store_directory'
refused "PRAGMA no_such_pragma" SQLITE_AUTH 'not allowed here: PRAGMA no_such_pragma'
refused "SELECT * FROM dbstat" SQLITE_UNKNOWN 'no such table'
refused "SELECT * FROM sqlite_dbpage" SQLITE_UNKNOWN 'no such table'
refused "SELECT writefile('$stack/x', 'x')" SQL_INPUT_ERROR 'no such function'
refused "UPDATE sqlite_schema SET sql = 'x'" SQLITE_UNKNOWN 'may not be modified'
[ ! -e "$stack/x" ] || fail "a file was written"

execute alice "CREATE VIEW v AS SELECT sqlite_log(1, text) FROM note"
expect_status 200
refused "SELECT * FROM v" SQLITE_AUTH 'not allowed here: sqlite_log'
execute alice "CREATE TRIGGER g AFTER INSERT ON note BEGIN SELECT load_extension(new.text); END"
expect_status 200
refused "INSERT INTO note VALUES ('x')" SQLITE_AUTH 'not allowed here: load_extension'
# With all of that in it the database is pushed and comes back.
wait_until 10 sync_clean alice
expect_restored_equals_local alice
finish
