// The parts of the console that need no page: where statements begin and end, what values
// look like, where an error is, and what happened between two looks at the sync state.
import assert from "node:assert/strict";
import { test } from "node:test";

import { placeOf } from "../../../app/web/console/results.js";
import { quoted, statements, tokens } from "../../../app/web/console/sql.js";
import { eventsBetween } from "../../../app/web/console/sync.js";
import { cellText, csv, dump, fullText, tsv } from "../../../app/web/console/values.js";

const texts = (sql) => statements(sql).map(({ text }) => text);
const text = (value) => ({ type: "text", value });
const integer = (value) => ({ type: "integer", value });
const blob = (...bytes) => ({
	type: "blob",
	base64: Buffer.from(bytes).toString("base64").replaceAll("=", ""),
});

test("statements end at semicolons that are not in strings, names, comments or triggers", () => {
	const trigger = `CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN
		UPDATE a SET x = CASE x WHEN 1 THEN 2 END; DELETE FROM b; END`;

	for (const [sql, want] of [
		["", []],
		[" ; ;; -- nothing\n /* ; */", []],
		["SELECT 1", ["SELECT 1"]],
		[
			"SELECT ';', \"a;b\", [c;d], `e;f`;SELECT 2;",
			["SELECT ';', \"a;b\", [c;d], `e;f`", "SELECT 2"],
		],
		[
			"SELECT 'it''s;'; SELECT 2 -- ; no\n + 3",
			["SELECT 'it''s;'", "SELECT 2 -- ; no\n + 3"],
		],
		["SELECT 1 /* ; */ + 1; -- done", ["SELECT 1 /* ; */ + 1"]],
		[`${trigger}; SELECT 1`, [trigger, "SELECT 1"]],
		[`EXPLAIN ${trigger}; SELECT 1`, [`EXPLAIN ${trigger}`, "SELECT 1"]],
		[
			"BEGIN; INSERT INTO a VALUES (1); END; SELECT 1",
			["BEGIN", "INSERT INTO a VALUES (1)", "END", "SELECT 1"],
		],
		["SELECT 'open; to the end", ["SELECT 'open; to the end"]],
		[
			"SELECT x'00;ff'; SELECT \"é;\", größe",
			["SELECT x'00;ff'", 'SELECT "é;", größe'],
		],
	])
		assert.deepEqual(texts(sql), want, sql);
});

test("a statement knows its place and its line", () => {
	const sql = "-- one\nSELECT 1;\n\n  SELECT\n2; SELECT 3";

	assert.deepEqual(
		statements(sql).map(({ text: found, start, end, line }) => [
			line,
			sql.slice(start, end) === found,
		]),
		[
			[2, true],
			[4, true],
			[5, true],
		],
	);
});

test("tokens are all of the text, whatever it is", () => {
	for (const sql of [
		"SELECT 'a",
		'"',
		"/*",
		"[",
		"`x",
		"x'",
		"\u0000\ud800 ☃ :p ?1 @a $b 1e5 .5 a.b <>",
	])
		assert.equal([...tokens(sql)].map((token) => token.text).join(""), sql);
	// In linear time, too.
	const long = "'".repeat(200001);
	assert.equal([...tokens(long)].length, 1);
});

test("names are quoted where they have to be", () => {
	for (const [name, want] of [
		["note", "note"],
		["select", '"select"'],
		['a"b', '"a""b"'],
		["1a", '"1a"'],
		["", '""'],
		["ü", '"ü"'],
	])
		assert.equal(quoted(name), want);
});

test("an error's place is the word it names, where that is there once, or its statement", () => {
	const [, second] = statements("SELECT 1; SELECT nope, a, a FROM t");
	const place = (message) => {
		const { start, end } = placeOf(second, { message });
		return "SELECT 1; SELECT nope, a, a FROM t".slice(start, end);
	};

	assert.equal(place("SQLite error: no such column: nope"), "nope");
	assert.equal(place("SQLite error: no such column: t.nope"), "nope");
	assert.equal(place("SQLite error: no such table: t"), "t");
	assert.equal(place('SQLite error: near "FROM": syntax error'), "FROM");
	assert.equal(place("SQLite error: no such column: a"), second.text);
	assert.equal(place("SQLite error: something else"), second.text);
});

test("values are shown so that their types are seen", () => {
	for (const [value, want] of [
		[{ type: "null" }, "NULL"],
		[integer("9223372036854775807"), "9223372036854775807"],
		[{ type: "float", value: 2 }, "2.0"],
		[{ type: "float", value: 0.1 }, "0.1"],
		[{ type: "float", value: 1e300 }, "1e+300"],
		[{ type: "float", value: null }, "±Infinity"],
		[text("<b>"), "<b>"],
		[blob(0, 255), "x'00ff' 2 bytes"],
		[blob(...new Array(20).fill(7)), `x'${"07".repeat(12)}…' 20 bytes`],
		[blob(), "x'' 0 bytes"],
	])
		assert.equal(cellText(value).text, want);
	assert.deepEqual(cellText(text("a\nb")), { text: "a⏎b", more: true });
	assert.equal(fullText(text("a\nb")), "a\nb");
	assert.match(dump(blob(72, 105, 0)), /^00000000 {2}48 69 00 +Hi\.$/);
});

test("CSV and TSV quote what has to be, and CSV tells NULL from the empty text", () => {
	const cols = [{ name: "a" }, { name: 'b"c' }, { name: "d,e" }];
	const rows = [
		[{ type: "null" }, text(""), text('x"y')],
		[integer("1"), text("two\nlines"), blob(1, 2)],
	];

	assert.equal(csv(cols, rows), 'a,"b""c","d,e"\r\n,"","x""y"\r\n1,"two\nlines",0102\r\n');
	assert.equal(tsv(cols, rows), 'a\t"b""c"\td,e\n\t\t"x""y"\n1\t"two\nlines"\t0102');
});

test("what happened between two looks is told once, and not at all after a restart", () => {
	const state = {
		status: "ok",
		remote_txid: 7,
		failed_attempts: 0,
		failed_since: null,
		last_error: null,
		last_success: "2026-01-01T00:00:00.000Z",
		last_push_ms: 30,
	};
	const at = Date.parse(state.last_success) + 1000;
	const kinds = (before, now) => eventsBetween(before, now, at).map((event) => event.kind);

	assert.deepEqual(kinds(state, state), []);
	assert.deepEqual(eventsBetween(null, state, at), [
		{ kind: "stored", at: at - 1000, ms: 30, txid: 7, pushes: 1 },
	]);
	assert.deepEqual(kinds(null, { ...state, last_success: null, last_push_ms: null }), []);
	const stored = {
		...state,
		remote_txid: 9,
		last_success: "2026-01-01T00:00:01.000Z",
		last_push_ms: 12,
	};
	assert.deepEqual(eventsBetween(state, stored, at), [
		{ kind: "stored", at, ms: 12, txid: 9, pushes: 2 },
	]);
	const failed = { ...state, status: "failed", failed_attempts: 2, last_error: "server" };
	assert.deepEqual(eventsBetween(state, failed, at), [
		{ kind: "failed", at, error: "server", attempts: 2 },
	]);
	assert.deepEqual(kinds(failed, failed), []);
	assert.deepEqual(kinds(failed, stored), ["stored", "healed"]);
	assert.deepEqual(kinds(state, { ...state, status: "conflict" }), ["conflict"]);
	assert.deepEqual(kinds({ ...state, status: "conflict" }, state), ["resolved"]);
	assert.deepEqual(kinds(stored, { ...state, remote_txid: 9, last_success: null }), []);
});
