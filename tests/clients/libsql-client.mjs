// @libsql/client over http, as an app with notebooks and notes uses it.

import { createClient, LibsqlBatchError, LibsqlError } from "@libsql/client";
import assert from "node:assert/strict";
import { test } from "node:test";
import { outage, syncStatus, token, url, watchedFetch } from "./lib/stack.mjs";

const connect = (user, more = {}) => createClient({ url, authToken: token(user), ...more });

const schema = `
	CREATE TABLE notebook(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
	CREATE TABLE note(
		id INTEGER PRIMARY KEY,
		notebook INTEGER NOT NULL REFERENCES notebook(id) ON DELETE CASCADE,
		title TEXT NOT NULL, stars REAL, picture BLOB, done BOOLEAN DEFAULT 0,
		UNIQUE (notebook, title)
	);
`;

async function app(user, more) {
	const db = connect(user, more);
	await db.executeMultiple(schema);
	return db;
}

const count = async (db, table) => (await db.execute(`SELECT count(*) AS n FROM ${table}`)).rows[0].n;

test("execute takes arguments in every form and gives rows, types and counts", async () => {
	const db = await app("execute");
	let result = await db.execute("INSERT INTO notebook(name) VALUES ('plans')");
	assert.deepEqual([result.rowsAffected, result.lastInsertRowid, result.rows.length], [1, 1n, 0]);
	result = await db.execute({
		sql: "INSERT INTO note(notebook, title, stars, picture, done) VALUES (?, ?, ?, ?, ?)",
		args: [1, "swim", 4.5, new Uint8Array([0, 255, 16]), true],
	});
	assert.equal(result.lastInsertRowid, 1n);
	await db.execute({
		sql: "INSERT INTO note(notebook, title, stars) VALUES (:notebook, @title, $stars)",
		args: { notebook: 1, title: "run", stars: 2 },
	});
	await db.execute("INSERT INTO note(notebook, title) VALUES (?, ?)", [1n, "rest"]);

	result = await db.execute("SELECT id, title, stars, picture, done, stars * 2 AS twice FROM note ORDER BY id");
	assert.deepEqual(result.columns, ["id", "title", "stars", "picture", "done", "twice"]);
	assert.deepEqual(result.columnTypes, ["INTEGER", "TEXT", "REAL", "BLOB", "BOOLEAN", ""]);
	const [swim, run, rest] = result.rows;
	assert.deepEqual([swim.id, swim.title, swim[2], swim.done, swim.twice], [1, "swim", 4.5, 1, 9]);
	assert.deepEqual(new Uint8Array(swim.picture), new Uint8Array([0, 255, 16]));
	assert.deepEqual([run.stars, run.picture, rest.stars], [2, null, null]);
	assert.equal(result.rowsAffected, 0);

	result = await db.execute({ sql: "UPDATE note SET done = 1 WHERE notebook = ? RETURNING title", args: [1] });
	assert.deepEqual([result.rowsAffected, result.rows.map((r) => r.title)], [3, ["swim", "run", "rest"]]);
	assert.equal((await db.execute("DELETE FROM note WHERE id > 1")).rowsAffected, 2);
	assert.equal((await db.execute("CREATE INDEX by_title ON note(title)")).rowsAffected, 0);
	db.close();
});

test("integers above 2^53 and odd values survive", async () => {
	const big = 9007199254740993n;
	const db = connect("values", { intMode: "bigint" });
	const odd = ["", "a\u0000b", "😀", "'; DROP TABLE x; --", "\ufeff", "\u2028"];
	const { rows: [row] } = await db.execute({
		sql: `SELECT ?, ?, ?, ?, ?, ${odd.map(() => "?").join(", ")}`,
		args: [big, -9223372036854775808n, 0.1, 1e308, new ArrayBuffer(0), ...odd],
	});
	assert.deepEqual([row[0], row[1], row[2], row[3], row[4].byteLength], [big, -9223372036854775808n, 0.1, 1e308, 0]);
	assert.deepEqual(odd.map((_, i) => row[5 + i]), odd);
	const strings = connect("values", { intMode: "string" });
	assert.equal((await strings.execute("SELECT 9223372036854775807")).rows[0][0], "9223372036854775807");
	await assert.rejects(connect("values").execute("SELECT 9007199254740993"), RangeError);
	assert.equal((await db.execute({ sql: "SELECT ? AS day", args: [new Date(86400000)] })).rows[0].day, 86400000);
});

test("an error has its code, and SQLite's words", async () => {
	const db = await app("errors");
	await db.execute("INSERT INTO notebook VALUES (1, 'plans')");
	const failing = [
		["INSERT INTO notebook(name) VALUES ('plans')", "SQLITE_CONSTRAINT", /UNIQUE constraint failed: notebook.name/],
		["INSERT INTO notebook VALUES (1, 'x')", "SQLITE_CONSTRAINT", /UNIQUE constraint failed: notebook.id/],
		["INSERT INTO notebook(id) VALUES (2)", "SQLITE_CONSTRAINT", /NOT NULL constraint failed: notebook.name/],
		["INSERT INTO note(notebook, title) VALUES (99, 'x')", "SQLITE_CONSTRAINT", /FOREIGN KEY constraint failed/],
		["SELECT * FROM nosuch", "SQLITE_UNKNOWN", /no such table: nosuch/],
		["SELECT nosuch FROM note", "SQL_INPUT_ERROR", /no such column: nosuch/],
		["SELEC 1", "SQL_PARSE_ERROR", /near "SELEC": syntax error/],
		["SELECT 1; SELECT 2", "SQL_MANY_STATEMENTS", /more than one/],
		["", "SQL_NO_STATEMENT", /no statement/],
		["SELECT ?", "ARGS_INVALID", /no value/],
		["ATTACH 'x' AS y", "SQLITE_AUTH", /not allowed here: ATTACH/],
	];
	for (const [sql, code, message] of failing)
		await assert.rejects(db.execute(sql), (e) => {
			assert.ok(e instanceof LibsqlError, sql);
			assert.equal(e.code, code, sql);
			assert.match(e.message, message);
			return true;
		});
	// As an app would: the name is taken, so take the one that is there.
	const take = (name) => db.execute({ sql: "INSERT INTO notebook(name) VALUES (?)", args: [name] }).catch((e) => {
		assert.equal(e.code, "SQLITE_CONSTRAINT");
		return db.execute({ sql: "SELECT id FROM notebook WHERE name = ?", args: [name] });
	});
	assert.equal((await take("plans")).rows[0].id, 1);
});

for (const mode of ["write", "read", "deferred"])
	test(`a batch in mode ${mode} is all or nothing`, async () => {
		const user = `batch-${mode}`, db = await app(user);
		await db.batch(["INSERT INTO notebook VALUES (1, 'plans')", "INSERT INTO note(notebook, title) VALUES (1, 'a')"], "write");
		const statements = mode === "read" ? [
			"SELECT name FROM notebook",
			{ sql: "SELECT title FROM note WHERE notebook = ?", args: [1] },
		] : [
			{ sql: "INSERT INTO note(notebook, title) VALUES (?, ?)", args: [1, "b"] },
			["INSERT INTO note(notebook, title) VALUES (?, ?)", [1, "c"]],
			"SELECT title FROM note ORDER BY id",
		];
		const results = await db.batch(statements, mode);
		assert.equal(results.length, statements.length);
		assert.deepEqual(results.at(-1).rows.map((r) => r.title), mode === "read" ? ["a"] : ["a", "b", "c"]);
		if (mode !== "read")
			assert.deepEqual(results.map((r) => r.rowsAffected), [1, 1, 0]);

		const before = await count(db, "note");
		await assert.rejects(db.batch([
			mode === "read" ? "SELECT 1" : "INSERT INTO note(notebook, title) VALUES (1, 'lost')",
			mode === "read" ? "SELECT nonsense" : "INSERT INTO note(notebook, title) VALUES (1, 'a')",
			"SELECT 3",
		], mode), (e) => e instanceof LibsqlBatchError && e.statementIndex === 1);
		assert.equal(await count(db, "note"), before);
		assert.deepEqual(await db.batch([], mode), []);
	});

for (const mode of ["write", "deferred"])
	test(`a transaction in mode ${mode} commits, or leaves nothing`, async () => {
		const db = await app(`transaction-${mode}`), other = connect(`transaction-${mode}`);
		let tx = await db.transaction(mode);
		const { lastInsertRowid: notebook } = await tx.execute("INSERT INTO notebook(name) VALUES ('plans')");
		for (const title of ["a", "b"])
			await tx.execute({ sql: "INSERT INTO note(notebook, title) VALUES (?, ?)", args: [notebook, title] });
		assert.equal((await tx.execute("SELECT count(*) AS n FROM note")).rows[0].n, 2);
		assert.equal(await count(other, "note"), 0, "nobody else sees it yet");
		await tx.commit();
		assert.equal(tx.closed, true);
		assert.equal(await count(other, "note"), 2);

		tx = await db.transaction(mode);
		await tx.execute("DELETE FROM notebook");
		assert.equal((await tx.execute("SELECT count(*) AS n FROM note")).rows[0].n, 0, "the cascade");
		await tx.rollback();
		assert.equal(await count(other, "note"), 2);

		tx = await db.transaction(mode);
		await tx.execute("DELETE FROM note");
		tx.close();
		assert.equal(await count(other, "note"), 2);

		// A statement that fails leaves the transaction open.
		tx = await db.transaction(mode);
		await tx.execute("INSERT INTO note(notebook, title) VALUES (1, 'c')");
		await assert.rejects(tx.execute("INSERT INTO note(notebook, title) VALUES (1, 'a')"), { code: "SQLITE_CONSTRAINT" });
		await tx.batch([{ sql: "UPDATE note SET stars = ?", args: [5] }, "INSERT INTO note(notebook, title) VALUES (1, 'd')"]);
		await tx.executeMultiple("INSERT INTO note(notebook, title) VALUES (1, 'e'); UPDATE note SET done = 1;");
		await tx.commit();
		assert.deepEqual((await other.execute("SELECT title, stars, done FROM note ORDER BY title")).rows.map((r) => [...Object.values(r)]),
			[["a", 5, 1], ["b", 5, 1], ["c", 5, 1], ["d", null, 1], ["e", null, 1]]);
		await assert.rejects(tx.execute("SELECT 1"), { code: "TRANSACTION_CLOSED" });
	});

test("a transaction in mode read sees one moment", async () => {
	const db = await app("transaction-read"), other = connect("transaction-read");
	await db.execute("INSERT INTO notebook VALUES (1, 'plans')");
	const tx = await db.transaction("read");
	assert.equal((await tx.execute("SELECT count(*) AS n FROM notebook")).rows[0].n, 1);
	await other.execute("INSERT INTO notebook VALUES (2, 'more')");
	assert.equal((await tx.execute("SELECT count(*) AS n FROM notebook")).rows[0].n, 1);
	await tx.rollback();
	assert.equal(await count(db, "notebook"), 2);
});

test("transactions of several clients on one database wait for each other", async () => {
	const db = await app("accounts");
	await db.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER)");
	await db.execute("INSERT INTO account VALUES (1, 100), (2, 0)");
	await Promise.all(Array.from({ length: 8 }, async () => {
		const mine = connect("accounts");
		for (let i = 0; i < 3; i++) {
			const tx = await mine.transaction("write");
			const { rows: [{ balance }] } = await tx.execute("SELECT balance FROM account WHERE id = 1");
			await tx.execute({ sql: "UPDATE account SET balance = ? WHERE id = 1", args: [balance - 1] });
			await tx.execute("UPDATE account SET balance = balance + 1 WHERE id = 2");
			await tx.commit();
		}
	}));
	const { rows } = await db.execute("SELECT balance FROM account ORDER BY id");
	assert.deepEqual(rows.map((r) => r.balance), [76, 24]);
});

test("executeMultiple runs to the first error", async () => {
	const db = await app("multiple");
	await db.executeMultiple("INSERT INTO notebook VALUES (1, 'a;b'); -- a comment\n\nINSERT INTO notebook VALUES (2, 'c')");
	await assert.rejects(db.executeMultiple("INSERT INTO notebook VALUES (3, 'd'); INSERT INTO nosuch VALUES (1); INSERT INTO notebook VALUES (4, 'e')"), /no such table/);
	assert.equal(await count(db, "notebook"), 3);
	await db.executeMultiple("BEGIN; INSERT INTO notebook VALUES (5, 'f'); ROLLBACK;");
	assert.equal(await count(db, "notebook"), 3);
	await db.executeMultiple("");
});

test("migrate rebuilds a table without losing what refers to it", async () => {
	const db = await app("migrate");
	await db.batch(["INSERT INTO notebook VALUES (1, 'plans')", "INSERT INTO note(notebook, title) VALUES (1, 'a')"], "write");
	await db.migrate([
		"CREATE TABLE new_notebook(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, colour TEXT DEFAULT 'blue')",
		"INSERT INTO new_notebook(id, name) SELECT id, name FROM notebook",
		"DROP TABLE notebook",
		"ALTER TABLE new_notebook RENAME TO notebook",
	]);
	assert.equal(await count(db, "note"), 1, "no cascade");
	assert.equal((await db.execute("SELECT colour FROM notebook")).rows[0].colour, "blue");
	await assert.rejects(db.execute("INSERT INTO note(notebook, title) VALUES (9, 'x')"), { code: "SQLITE_CONSTRAINT" });

	await assert.rejects(db.migrate(["CREATE TABLE half(a)", "CREATE TABLE half(a)"]), /already exists/);
	await assert.rejects(db.execute("SELECT * FROM half"), /no such table/);
	assert.equal((await db.execute("PRAGMA foreign_keys")).rows[0].foreign_keys, 1);
});

test("pages through a thousand rows", async () => {
	const db = await app("pages");
	await db.execute("INSERT INTO notebook VALUES (1, 'plans')");
	const insert = Array.from({ length: 1000 }, (_, i) => ({
		sql: "INSERT INTO note(notebook, title, stars) VALUES (1, ?, ?)",
		args: [`note ${i}`, i % 5],
	}));
	await db.batch(insert, "write");
	const seen = [];
	for (let after = { stars: 5, id: 0 }, pages = 0; ; pages++) {
		const { rows } = await db.execute({
			sql: "SELECT id, stars FROM note WHERE (stars, -id) < (:stars, -:id) ORDER BY stars DESC, id LIMIT 64",
			args: after,
		});
		seen.push(...rows.map((r) => r.id));
		if (rows.length < 64) {
			assert.equal(pages, 15);
			break;
		}
		after = { stars: rows.at(-1).stars, id: rows.at(-1).id };
	}
	assert.equal(new Set(seen).size, 1000);
	assert.equal(seen.length, 1000);
});

test("a picture of a megabyte comes back, one too large is refused", async () => {
	const db = await app("blobs");
	await db.execute("INSERT INTO notebook VALUES (1, 'plans')");
	const picture = Uint8Array.from({ length: 1000001 }, (_, i) => (i * 7919) >> 3);
	await db.execute({ sql: "INSERT INTO note(notebook, title, picture) VALUES (1, 'big', ?)", args: [picture] });
	const { rows: [row] } = await db.execute("SELECT picture, length(picture) AS n FROM note");
	assert.equal(row.n, picture.length);
	assert.ok(Buffer.from(row.picture).equals(Buffer.from(picture)));
	await assert.rejects(db.execute({ sql: "SELECT length(?)", args: [new Uint8Array(4 << 20)] }), { code: "TOO_LARGE" });
	await assert.rejects(db.execute("SELECT hex(zeroblob(9000000))"), { code: /SQLITE_TOOBIG|RESPONSE_TOO_LARGE/ });
	assert.equal(await count(db, "note"), 1);
});

test("users at the same time see only their own", async () => {
	const users = ["u1", "u2", "u3", "u4", "u5", "u6"];
	await Promise.all(users.map(async (user, n) => {
		const db = await app(user);
		await db.execute({ sql: "INSERT INTO notebook VALUES (1, ?)", args: [user] });
		await Promise.all(Array.from({ length: 12 }, (_, i) => db.execute({
			sql: "INSERT INTO note(notebook, title, stars) VALUES (1, ?, ?)",
			args: [`${user} ${i}`, n],
		})));
		const { rows } = await db.execute("SELECT DISTINCT stars, substr(title, 1, 2) AS who FROM note");
		assert.deepEqual(rows.map((r) => [r.stars, r.who]), [[n, user]]);
		assert.equal(await count(db, "note"), 12);
	}));
});

test("a token for reading reads only", async () => {
	const db = await app("reader");
	await db.execute("INSERT INTO notebook VALUES (1, 'plans')");
	const reader = createClient({ url, authToken: token("reader", { a: "ro" }) });
	assert.equal(await count(reader, "notebook"), 1);
	await assert.rejects(reader.execute("DELETE FROM notebook"), { code: "SQLITE_READONLY" });
	assert.equal((await reader.batch(["SELECT 1 AS one", "SELECT 2"], "read"))[0].rows[0].one, 1);
	await assert.rejects(createClient({ url, authToken: "nonsense" }).execute("SELECT 1"), { code: "TOKEN_INVALID" });
	await assert.rejects(createClient({ url }).execute("SELECT 1"), { code: "UNAUTHORIZED" });
});

test("another client sees a new schema at once", async () => {
	const db = await app("schema"), others = Array.from({ length: 8 }, () => connect("schema"));
	for (let i = 0; i < 12; i++) {
		await db.execute(`ALTER TABLE notebook ADD COLUMN extra${i} TEXT DEFAULT 'new ${i}'`);
		await db.execute({ sql: "INSERT INTO notebook(name) VALUES (?)", args: [`book ${i}`] });
		const results = await Promise.all(others.map((other) => other.execute("SELECT * FROM notebook")));
		for (const { columns, rows } of results) {
			assert.equal(columns.at(-1), `extra${i}`);
			assert.equal(rows[i][`extra${i}`], `new ${i}`);
		}
	}
});

test("an outage of the store is told through fetch, and heals", async () => {
	const watched = watchedFetch(), db = await app("outage", { fetch: watched });
	await db.execute("INSERT INTO notebook VALUES (1, 'plans')");
	const written = await outage({
		write: (i) => db.batch([{ sql: "INSERT INTO note(notebook, title) VALUES (1, ?)", args: [`note ${i}`] }], "write"),
		status: () => watched.status,
	});
	assert.equal(await count(db, "note"), written);
	assert.equal(await syncStatus("outage"), null);
	await assert.rejects(db.execute("SELECT nonsense"));
	assert.equal(watched.status, null);
});

test("a transaction goes on through an outage", async () => {
	const watched = watchedFetch(), db = await app("outage-tx", { fetch: watched });
	await db.execute("INSERT INTO notebook VALUES (1, 'plans')");
	const written = await outage({
		write: async (i) => {
			const tx = await db.transaction("write");
			await tx.execute({ sql: "INSERT INTO note(notebook, title) VALUES (1, ?)", args: [`kept ${i}`] });
			await tx.commit();
			const lost = await db.transaction("write");
			await lost.execute("DELETE FROM note");
			await lost.rollback();
		},
		status: () => watched.status,
	});
	assert.equal(await count(db, "note"), written);
});
