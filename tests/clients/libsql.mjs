// npm libsql, the Rust client with a better-sqlite3 face, in remote mode: its
// statements are described first and run with the baton of that.

import Database from "libsql/promise";
import assert from "node:assert/strict";
import { test } from "node:test";
import { outage, syncStatus, token, url } from "./lib/stack.mjs";

const open = (user) => new Database(url.replace(/\/$/, ""), { authToken: token(user) });

const schema = `
	CREATE TABLE guest(id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, photo BLOB);
	CREATE TABLE stay(id INTEGER PRIMARY KEY, guest INTEGER NOT NULL REFERENCES guest(id) ON DELETE CASCADE,
		night TEXT NOT NULL, price REAL, UNIQUE (night));
`;

async function hotel(user) {
	const db = open(user);
	await db.exec(schema);
	await db.exec("INSERT INTO guest(email) VALUES ('ann@example.com'), ('ben@example.com')");
	return db;
}

const count = async (db, table) => (await (await db.prepare(`SELECT count(*) AS n FROM ${table}`)).get()).n;

test("statements run, get and all", async () => {
	const db = await hotel("statements");
	const insert = await db.prepare("INSERT INTO stay(guest, night, price) VALUES (?, ?, ?)");
	const info = await insert.run(1, "2026-01-01", 99.5);
	assert.deepEqual([info.changes, info.lastInsertRowid], [1, 1]);
	await insert.run(2, "2026-01-02", 80);
	const select = await db.prepare("SELECT night, price, email FROM stay JOIN guest ON guest.id = guest ORDER BY night");
	assert.equal(select.reader, true);
	assert.deepEqual(select.columns().map(({ name }) => name), ["night", "price", "email"]);
	assert.deepEqual(await select.all(), [
		{ night: "2026-01-01", price: 99.5, email: "ann@example.com" },
		{ night: "2026-01-02", price: 80, email: "ben@example.com" },
	]);
	const names = [];
	for await (const { email } of await (await db.prepare("SELECT email FROM guest")).iterate())
		names.push(email);
	assert.equal(names.length, 2);
	assert.equal((await (await db.prepare("SELECT 9007199254740993 AS n")).safeIntegers().get()).n, 9007199254740993n);
	const photo = Buffer.from(Array.from({ length: 70001 }, (_, i) => i & 255));
	await (await db.prepare("UPDATE guest SET photo = ? WHERE id = 1")).run([photo]);
	assert.ok(photo.equals(Buffer.from((await (await db.prepare("SELECT photo FROM guest WHERE id = ?")).get(1)).photo)));
	db.close();
});

test("an error has SQLite's words, and the connection goes on", async () => {
	const db = await hotel("errors");
	const insert = await db.prepare("INSERT INTO guest(email) VALUES (?)");
	await assert.rejects(async () => insert.run("ann@example.com"), /UNIQUE constraint failed: guest.email/);
	await assert.rejects(db.exec("INSERT INTO nosuch VALUES (1)"), /no such table: nosuch/);
	await assert.rejects(db.prepare("SELEC 1"), /syntax error/);
	assert.equal(await count(db, "guest"), 2);
	db.close();
});

test("a transaction commits, or leaves nothing", async () => {
	const db = await hotel("transaction"), other = open("transaction");
	const book = async (...nights) => {
		await db.exec("BEGIN IMMEDIATE");
		try {
			const insert = await db.prepare("INSERT INTO stay(guest, night) VALUES (1, ?)");
			for (const night of nights)
				await insert.run(night);
			assert.equal(db.inTransaction, true);
			await db.exec("COMMIT");
		} catch (e) {
			await db.exec("ROLLBACK");
			throw e;
		}
	};
	await book("2026-02-01", "2026-02-02");
	assert.equal(await count(other, "stay"), 2);
	await assert.rejects(book("2026-02-03", "2026-02-01"), /UNIQUE constraint failed: stay.night/);
	assert.equal(await count(other, "stay"), 2);

	await db.exec("BEGIN");
	await db.exec("DELETE FROM guest");
	assert.equal(await count(db, "stay"), 0, "the cascade");
	assert.equal(await count(other, "stay"), 2, "nobody else sees it");
	await db.exec("ROLLBACK");
	assert.equal(await count(db, "stay"), 2);
	db.close();
	other.close();
});

test("connections at the same time", async () => {
	await Promise.all(["g1", "g2", "g3"].map(async (user) => {
		const db = await hotel(user);
		await Promise.all(Array.from({ length: 4 }, async (_, n) => {
			const mine = open(user);
			const insert = await mine.prepare("INSERT INTO stay(guest, night) VALUES (1, ?)");
			for (let i = 0; i < 5; i++)
				await insert.run(`${n}-${i}`);
			mine.close();
		}));
		assert.equal(await count(db, "stay"), 20);
		db.close();
	}));
});

test("an outage of the store is told, and heals", async () => {
	const db = await hotel("outage");
	const insert = "INSERT INTO stay(guest, night) VALUES (2, ?)";
	const written = await outage({
		write: async (i) => (await db.prepare(insert)).run(`night ${i}`),
		// It shows no headers; such an app asks.
		status: () => syncStatus("outage"),
	});
	assert.equal(await count(db, "stay"), written);
	db.close();
});
