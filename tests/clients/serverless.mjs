// @tursodatabase/serverless: cursors for queries, a connection that keeps its
// baton.  A warehouse: parts, places, and moves between them.

import { connect } from "@tursodatabase/serverless";
import { createClient } from "@tursodatabase/serverless/compat";
import assert from "node:assert/strict";
import { test } from "node:test";
import { outage, syncStatus, token, url, watchedFetch } from "./lib/stack.mjs";

// It has no fetch option and takes the global one.
const { fetch } = globalThis;
const watched = watchedFetch();

const options = (user) => ({ url: url.replace(/\/$/, ""), authToken: token(user) });

const schema = `
	CREATE TABLE part(id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, weight REAL, drawing BLOB);
	CREATE TABLE place(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
	CREATE TABLE stock(
		part INTEGER NOT NULL REFERENCES part(id),
		place INTEGER NOT NULL REFERENCES place(id),
		amount INTEGER NOT NULL CHECK (amount >= 0),
		PRIMARY KEY (part, place)
	) WITHOUT ROWID;
`;

async function warehouse(user) {
	const db = connect(options(user));
	await db.exec(schema);
	await db.exec("INSERT INTO part(id, code, weight) VALUES (1, 'bolt', 0.5), (2, 'nut', 0.25); INSERT INTO place VALUES (1, 'shelf'), (2, 'truck'); INSERT INTO stock VALUES (1, 1, 100), (2, 1, 50)");
	return db;
}

test("statements run, get, all and iterate", async () => {
	const db = await warehouse("statements");
	const insert = await db.prepare("INSERT INTO part(code, weight, drawing) VALUES (?, ?, ?)");
	const ran = await insert.run(["screw", 1.5, Buffer.from([0, 1, 255])]);
	assert.deepEqual([ran.changes, ran.lastInsertRowid], [1, 3]);

	const select = await db.prepare("SELECT id, code, weight, drawing FROM part WHERE id >= ? ORDER BY id");
	assert.deepEqual(select.columns().map(({ name, type }) => [name, type]),
		[["id", "INTEGER"], ["code", "TEXT"], ["weight", "REAL"], ["drawing", "BLOB"]]);
	const row = await select.get([3]);
	assert.deepEqual([row.id, row.code, row.weight, [...row.drawing]], [3, "screw", 1.5, [0, 1, 255]]);
	assert.deepEqual((await select.all([1])).map((r) => r.code), ["bolt", "nut", "screw"]);
	const codes = [];
	for await (const { code } of select.iterate([2]))
		codes.push(code);
	assert.deepEqual(codes, ["nut", "screw"]);
	assert.equal(await select.get([99]), undefined);

	const named = await db.prepare("SELECT :a || @b AS joined");
	assert.equal((await named.get({ a: "x", b: "y" })).joined, "xy");
	const big = await db.prepare("SELECT 9007199254740993 AS n");
	assert.equal((await big.safeIntegers(true).get()).n, 9007199254740993n);
	await db.close();
});

test("an error has its code and SQLite's words, and the connection goes on", async () => {
	const db = await warehouse("errors");
	await assert.rejects(db.run("INSERT INTO part(code) VALUES ('bolt')"), (e) => {
		assert.equal(e.code, "SQLITE_CONSTRAINT");
		assert.match(e.message, /UNIQUE constraint failed: part.code/);
		return true;
	});
	await assert.rejects(db.prepare("SELECT absent"), { code: "SQL_INPUT_ERROR" });
	await assert.rejects(db.exec("CREATE TABLE part(a)"), /already exists/);
	await assert.rejects(db.run("UPDATE stock SET amount = -1"), { message: /CHECK constraint failed/ });
	assert.equal(db.inTransaction, false);
	assert.equal((await db.get("SELECT count(*) AS n FROM part")).n, 2);
	await db.close();
});

test("a transaction commits, or leaves nothing", async () => {
	const db = await warehouse("transaction"), other = connect(options("transaction"));
	const move = db.transactionAsync(async (tx, amount) => {
		await tx.run("UPDATE stock SET amount = amount - ? WHERE part = 1 AND place = 1", [amount]);
		await tx.run("INSERT INTO stock VALUES (1, 2, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount", [amount]);
	});
	await move(30);
	await move.immediate(20);
	await assert.rejects(move(60), /CHECK constraint failed/);
	const amounts = async (from) => (await from.all("SELECT amount FROM stock WHERE part = 1 ORDER BY place")).map((r) => r.amount);
	assert.deepEqual(await amounts(db), [50, 50]);
	assert.deepEqual(await amounts(other), [50, 50]);

	await db.exec("BEGIN");
	await db.run("DELETE FROM stock");
	assert.equal(db.inTransaction, true);
	assert.deepEqual(await amounts(other), [50, 50], "nobody else sees it");
	await db.exec("ROLLBACK");
	assert.equal(db.inTransaction, false);
	assert.deepEqual(await amounts(db), [50, 50]);
	await db.close();
	await other.close();
});

test("a batch is all or nothing when it has a mode", async () => {
	const db = createClient(options("batch"));
	await db.executeMultiple(schema);
	const results = await db.batch([
		{ sql: "INSERT INTO part(code) VALUES (?)", args: ["bolt"] },
		{ sql: "INSERT INTO part(code) VALUES (:code)", args: { code: "nut" } },
		"SELECT code FROM part ORDER BY code",
	], "write");
	assert.deepEqual(results[2].rows.map((r) => r.code), ["bolt", "nut"]);
	await assert.rejects(db.batch(["DELETE FROM part", "INSERT INTO nosuch VALUES (1)"], "write"), /no such table/);
	assert.equal((await db.execute("SELECT count(*) AS n FROM part")).rows[0].n, 2);
	db.close();
});

test("a result of many rows comes whole", async () => {
	const db = await warehouse("many");
	const n = 20000;
	const rows = await (await db.prepare("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i, 'row ' || i AS name FROM n")).all([n]);
	assert.equal(rows.length, n);
	assert.ok(rows.every(({ i, name }, at) => i === at + 1 && name === `row ${i}`));
	// What is too large is an error of its step, and not half of a result.
	await assert.rejects(db.all("SELECT hex(zeroblob(1000000)) FROM stock, stock AS b, stock AS c, stock AS d"), { code: "RESPONSE_TOO_LARGE" });
	await db.close();
});

test("connections at the same time", async () => {
	await Promise.all(["w1", "w2", "w3"].map(async (user) => {
		const db = await warehouse(user);
		await Promise.all(Array.from({ length: 4 }, async () => {
			const mine = connect(options(user));
			for (let i = 0; i < 5; i++)
				await mine.run("UPDATE stock SET amount = amount - 1 WHERE part = 2");
			await mine.close();
		}));
		assert.equal((await db.get("SELECT amount FROM stock WHERE part = 2")).amount, 30);
		await db.close();
	}));
});

test("an outage of the store is told, and heals", async () => {
	const db = await warehouse("outage");
	globalThis.fetch = watched;
	try {
		const written = await outage({
			write: () => db.run("UPDATE stock SET amount = amount + 1 WHERE part = 2"),
			status: () => watched.status,
		});
		assert.equal((await db.get("SELECT amount FROM stock WHERE part = 2")).amount, 50 + written);
	} finally {
		globalThis.fetch = fetch;
	}
	assert.equal(await syncStatus("outage"), null);
	await db.close();
});
