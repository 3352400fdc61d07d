#!/bin/bash
# Goal: databases with pages of 512 to 65536 bytes, put in place while the program
# is stopped, are served, written, vacuumed, searched by FTS5, pushed, and restored
# by us and by Litestream; and pulled by another host, which writes to them, too.
. "$(dirname "$0")/lib.sh"
start_stack

sizes=(512 1024 2048 4096 8192 16384 32768 65536)
for size in "${sizes[@]}"; do
	is_served "p$size" || fail "p$size is not served"
done
store_objects_are 0 || fail "a user who has only read has an object"

stop_holdfast
for size in "${sizes[@]}"; do
	file=$(local_file "p$size")
	rm "$file"*
	sqlite3 "$file" "PRAGMA page_size = $size; PRAGMA auto_vacuum = $((size / 512 % 3));
		CREATE TABLE note(id INTEGER PRIMARY KEY, text, filling);
		INSERT INTO note VALUES (1, 'placed', zeroblob(3000))"
done
start_holdfast

for size in "${sizes[@]}"; do
	user=p$size
	wait_until 10 sync_clean "$user"
	expect_rows "$user" "PRAGMA page_size" "$size"
	sequence "$user" "CREATE VIRTUAL TABLE search USING fts5(text);
		CREATE TRIGGER noted AFTER INSERT ON note BEGIN
			INSERT INTO search(rowid, text) VALUES (new.id, new.text); END;
		WITH n(i) AS (VALUES(2) UNION ALL SELECT i + 1 FROM n WHERE i < 400)
			INSERT INTO note SELECT i, 'word' || (i % 7) || ' note ' || i, randomblob(300) FROM n"
	wait_until 10 sync_clean "$user"
	sequence "$user" "DELETE FROM note WHERE id > 100 AND id % 3;
		INSERT INTO search(search) VALUES ('optimize'); VACUUM"
	wait_until 10 sync_clean "$user"
	expect_rows "$user" "SELECT count(*) FROM search WHERE search MATCH 'word3'" 57
	expect_restored_equals_local "$user"
	expect_rows_in "$restored" "PRAGMA page_size" "$size"
	expect_rows_in "$restored" "SELECT count(*) FROM search WHERE search MATCH 'word3'" 57
	holdfast verify "$user" >"$stack/verify" || fail "verify: $(cat "$stack/verify")"
done
stop_holdfast

start_host there
for size in "${sizes[@]}"; do
	user=p$size
	expect_rows "$user" "PRAGMA page_size" "$size"
	execute "$user" "INSERT INTO note VALUES (1000, 'word3 there', randomblob(200000))"
	expect_status 200
	wait_until 10 sync_clean "$user"
	expect_litestream_restores "$user"
done
finish
