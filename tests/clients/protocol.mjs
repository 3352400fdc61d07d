// What clients ask before they speak, what is there for curl, and schemas that
// change under everybody's feet.

import * as hrana from "@libsql/hrana-client";
import assert from "node:assert/strict";
import { test } from "node:test";
import { outage, request, syncStatus, token, url } from "./lib/stack.mjs";

const execute = (user, sql, ...args) => request(user, "POST", "v1/execute", { stmt: { sql, args } });
const text = (value) => ({ type: "text", value });

async function rows(user, sql) {
	const { status, body } = await execute(user, sql);
	assert.equal(status, 200, JSON.stringify(body));
	return body.result.rows.map((row) => row.map((v) => v.value ?? v.base64 ?? null));
}

test("versions are answered without a token, and protobuf is refused", async () => {
	for (const [method, path, status] of [
		["GET", "v2", 200], ["GET", "v3", 200], ["HEAD", "v3", 200], ["GET", "v3-protobuf", 404], ["POST", "v3-protobuf/pipeline", 404],
		["POST", "v3-protobuf/cursor", 404], ["GET", "v1", 401], ["POST", "v2/pipeline", 401], ["OPTIONS", "v2/pipeline", 204],
	])
		assert.equal((await request(null, method, path)).status, status, `${method} /${path}`);
	for (const [method, path, status] of [["GET", "v2/pipeline", 405], ["POST", "v2", 405], ["POST", "v4/pipeline", 404]]) {
		const { status: seen, body } = await request("versions", method, path);
		assert.equal(seen, status, `${method} /${path}`);
		assert.ok(body.message && body.code && body.error);
	}
});

test("a client that wants version 3 falls back to 2", async () => {
	const client = hrana.openHttp(url, token("fallback"), undefined, undefined, 3);
	assert.equal(await client.getVersion(), 2);
	const stream = client.openStream();
	await stream.run("CREATE TABLE t(a)");
	assert.equal((await stream.run(["INSERT INTO t VALUES (?)", [7]])).affectedRowCount, 1);
	assert.equal((await stream.queryValue("SELECT a FROM t")).value, 7);
	const described = await stream.describe("SELECT a AS b FROM t WHERE a > :c");
	assert.deepEqual([described.paramNames, described.columns.map(({ name }) => name), described.isReadonly], [[":c"], ["b"], true]);
	client.close();
});

test("one statement: its result, or 400 with the reason", async () => {
	assert.equal((await execute("one", "CREATE TABLE t(a UNIQUE)")).status, 200);
	const { body: { result } } = await execute("one", "INSERT INTO t VALUES (?)", text("x"));
	assert.deepEqual([result.affected_row_count, result.last_insert_rowid, result.rows], [1, "1", []]);
	const { status, body } = await execute("one", "INSERT INTO t VALUES (?)", text("x"));
	assert.deepEqual([status, body.code], [400, "SQLITE_CONSTRAINT"]);
	assert.match(body.message, /UNIQUE constraint failed: t.a/);
	assert.equal((await request("one", "GET", "v1/execute")).status, 405);
});

test("a batch: 200 with an error for each step that failed", async () => {
	const steps = (...list) => ({ batch: { steps: list.map(([sql, condition]) => ({ stmt: { sql }, condition })) } });
	const { status, body } = await request("batch", "POST", "v1/batch", steps(
		["CREATE TABLE t(a)"], ["BEGIN"], ["INSERT INTO t VALUES (1)"], ["INSERT INTO nosuch VALUES (1)"],
		["COMMIT", { type: "ok", step: 3 }], ["ROLLBACK", { type: "not", cond: { type: "ok", step: 4 } }],
	));
	assert.equal(status, 200);
	assert.deepEqual(body.result.step_results.map((r) => r !== null), [true, true, true, false, false, true]);
	assert.deepEqual(body.result.step_errors.map((e) => e?.code ?? null), [null, null, null, "SQLITE_UNKNOWN", null, null]);
	assert.deepEqual(await rows("batch", "SELECT * FROM t"), []);
	assert.equal((await request("batch", "POST", "v1/batch", steps(["SELECT 1", { type: "ok", step: 0 }]))).status, 400);
});

test("a malformed body is refused where it goes wrong, and nothing of it runs", async () => {
	await execute("malformed", "CREATE TABLE t(a)");
	const insert = { type: "execute", stmt: { sql: "INSERT INTO t VALUES (1)" } };
	for (const [body, reason] of [
		["", /not JSON/], ["{\"requests\":[{", /at byte 14/], ["[]", /requests/], ["{}", /requests/], ["{\"requests\":[{}]}", /unknown type/],
		[{ requests: [insert, { type: "execute", stmt: { sql: "SELECT ?", args: [{ type: "integer", value: 1 }] } }] }, /malformed value/],
		[{ requests: [insert, { type: "execute", stmt: { sql_id: 3 } }] }, /sql_id/],
		[{ requests: [{ type: "close" }, insert] }, /close/],
	]) {
		const answer = await request("malformed", "POST", "v2/pipeline", body);
		assert.equal(answer.status, 400, JSON.stringify(body));
		assert.match(answer.body.message, reason);
	}
	assert.deepEqual(await rows("malformed", "SELECT * FROM t"), []);
});

test("a schema changes while every worker has the database open", async () => {
	const user = "schema", nchanges = 15;
	await execute(user, "CREATE TABLE t(id INTEGER PRIMARY KEY, c0)");
	await execute(user, "INSERT INTO t(c0) VALUES ('x')");
	let changed = 0, asked = 0, stop = false;
	const readers = Array.from({ length: 8 }, async (_, n) => {
		while (!stop) {
			const least = changed;
			const { status, body } = n % 2 ? await execute(user, "SELECT * FROM t")
				: await execute(user, "UPDATE t SET c0 = ? RETURNING *", text(`${n}`));
			assert.equal(status, 200, JSON.stringify(body));
			const columns = body.result.cols.length;
			assert.ok(columns >= 2 + least && columns <= 2 + nchanges, `${columns} columns after ${least} changes`);
			assert.equal(body.result.rows[0].length, columns);
			asked++;
		}
	});
	try {
		for (; changed < nchanges; changed++)
			for (const sql of [`ALTER TABLE t ADD COLUMN c${changed + 1} DEFAULT ${changed}`, `CREATE INDEX i${changed} ON t(c${changed})`]) {
				const { status, body } = await execute(user, sql);
				assert.equal(status, 200, JSON.stringify(body));
			}
	} finally {
		stop = true;
	}
	await Promise.all(readers);
	assert.ok(asked > nchanges);
	assert.deepEqual(await rows(user, "PRAGMA integrity_check"), [["ok"]]);
});

test("one migration sent by many at once is made once", async () => {
	const user = "race";
	const migration = { requests: [{ type: "batch", batch: { steps: [
		{ stmt: { sql: "BEGIN IMMEDIATE" } },
		{ stmt: { sql: "CREATE TABLE version(n)" }, condition: { type: "ok", step: 0 } },
		{ stmt: { sql: "INSERT INTO version VALUES (1)" }, condition: { type: "ok", step: 1 } },
		{ stmt: { sql: "COMMIT" }, condition: { type: "ok", step: 2 } },
		{ stmt: { sql: "ROLLBACK" }, condition: { type: "not", cond: { type: "ok", step: 3 } } },
	] } }, { type: "close" }] };
	const answers = await Promise.all(Array.from({ length: 8 }, () => request(user, "POST", "v2/pipeline", migration)));
	const errors = answers.map(({ body }) => body.results[0].response.result.step_errors[1]);
	assert.equal(errors.filter((e) => e === null).length, 1);
	assert.ok(errors.every((e) => e === null || /already exists/.test(e.message)));
	assert.deepEqual(await rows(user, "SELECT * FROM version"), [["1"]]);
});

test("stored SQL meets a newer schema", async () => {
	const user = "stored", sql = "SELECT * FROM t";
	await execute(user, "CREATE TABLE t(a)");
	await execute(user, "INSERT INTO t VALUES (1)");
	const ask = async (baton, ...requests) => (await request(user, "POST", "v3/pipeline", { baton, requests })).body;
	const run = { type: "execute", stmt: { sql_id: 0 } };
	let stream = await ask(null, { type: "store_sql", sql_id: 0, sql }, run);
	assert.equal(stream.results[1].response.result.cols.length, 1);
	await execute(user, "ALTER TABLE t ADD COLUMN b DEFAULT 2");
	stream = await ask(stream.baton, run, { type: "execute", stmt: { sql: "BEGIN" } }, run);
	assert.deepEqual(stream.results[0].response.result.rows, [[{ type: "integer", value: "1" }, { type: "integer", value: "2" }]]);
	await execute(user, "ALTER TABLE t ADD COLUMN c DEFAULT 3");
	stream = await ask(stream.baton, run, { type: "execute", stmt: { sql: "COMMIT" } }, run, { type: "close" });
	assert.equal(stream.results[0].response.result.cols.length, 2, "in the transaction as it was");
	assert.equal(stream.results[2].response.result.cols.length, 3);
	assert.equal(stream.baton, null);
});

test("an outage of the store is told with every answer, and heals", async () => {
	const user = "outage";
	await execute(user, "CREATE TABLE t(a)");
	let status;
	const written = await outage({
		write: async () => {
			const answer = await execute(user, "INSERT INTO t VALUES (1)");
			assert.equal(answer.status, 200);
			status = answer.headers.get("x-sync-status");
		},
		status: () => status,
	});
	assert.deepEqual(await rows(user, "SELECT count(*) FROM t"), [[`${written}`]]);
	assert.equal(await syncStatus(user), null);
});
