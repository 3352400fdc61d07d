// Drizzle ORM over @libsql/client, with its migrator: a magazine.

import { createClient } from "@libsql/client";
import { and, asc, count, desc, eq, gt, relations, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/libsql";
import { migrate } from "drizzle-orm/libsql/migrator";
import { blob, integer, real, sqliteTable, text } from "drizzle-orm/sqlite-core";
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { outage, token, url, watchedFetch } from "./lib/stack.mjs";

const author = sqliteTable("author", {
	id: integer("id").primaryKey({ autoIncrement: true }),
	email: text("email").notNull().unique(),
	name: text("name").notNull().default("nameless"),
	born: integer("born", { mode: "timestamp_ms" }),
	photo: blob("photo", { mode: "buffer" }),
});
const article = sqliteTable("article", {
	id: integer("id").primaryKey({ autoIncrement: true }),
	authorId: integer("author_id").notNull().references(() => author.id, { onDelete: "cascade" }),
	title: text("title").notNull(),
	published: integer("published", { mode: "boolean" }).notNull().default(false),
	rating: real("rating"),
});
const schema = {
	author,
	article,
	wrote: relations(author, ({ many }) => ({ articles: many(article) })),
	writtenBy: relations(article, ({ one }) => ({ author: one(author, { fields: [article.authorId], references: [author.id] }) })),
};

const migrationsFolder = fileURLToPath(new URL("drizzle", import.meta.url));
const connect = (user, fetch) => drizzle(createClient({ url, authToken: token(user), fetch }), { schema });

async function magazine(user, fetch) {
	const db = connect(user, fetch);
	await migrate(db, { migrationsFolder });
	await db.insert(author).values([{ email: "ann@example.com", name: "Ann" }, { email: "ben@example.com", name: "Ben" }]);
	return db;
}

const causes = (pattern) => (e) => {
	for (; e; e = e.cause)
		if (pattern.test(e.message))
			return true;
	return false;
};

test("migrations are run once, and rebuild a table under what refers to it", async () => {
	// As a deployment before the second migration would have left it.
	const before = `${process.env.SCRATCH}/before`;
	mkdirSync(before, { recursive: true });
	cpSync(migrationsFolder, before, { recursive: true });
	const journal = JSON.parse(readFileSync(`${before}/meta/_journal.json`));
	journal.entries.pop();
	writeFileSync(`${before}/meta/_journal.json`, JSON.stringify(journal));

	const db = connect("migrations");
	await migrate(db, { migrationsFolder: before });
	await db.run(sql`INSERT INTO author(id, email) VALUES (1, 'old@example.com')`);
	await db.insert(article).values({ authorId: 1, title: "kept" });
	await migrate(db, { migrationsFolder });
	await migrate(db, { migrationsFolder });
	assert.equal((await db.all(sql`SELECT count(*) AS n FROM __drizzle_migrations`))[0].n, 2);
	const found = await db.query.author.findFirst({ with: { articles: true } });
	assert.deepEqual([found.name, found.articles.map((a) => a.title)], ["nameless", ["kept"]]);
});

test("rows are inserted, joined, counted, changed and removed", async () => {
	const db = await magazine("rows");
	const born = new Date("1970-05-01"), photo = Buffer.from([0, 1, 2, 255]);
	const [carla] = await db.insert(author).values({ email: "carla@example.com", born, photo }).returning();
	assert.deepEqual([carla.id, carla.name, carla.born, Buffer.from(carla.photo)], [3, "nameless", born, photo]);
	const { lastInsertRowid, rowsAffected } = await db.insert(article).values({ authorId: carla.id, title: "One", rating: 4.5 });
	assert.deepEqual([lastInsertRowid, rowsAffected], [1n, 1]);
	await db.insert(article).values([{ authorId: 1, title: "Two" }, { authorId: 1, title: "Three", published: true }]);

	const list = await db.query.author.findMany({ with: { articles: { orderBy: asc(article.title) } }, orderBy: asc(author.id) });
	assert.deepEqual(list.map((a) => a.articles.map((x) => [x.title, x.published])),
		[[["Three", true], ["Two", false]], [], [["One", false]]]);
	const joined = await db.select({ who: author.name, n: count(article.id) }).from(author)
		.leftJoin(article, eq(article.authorId, author.id)).groupBy(author.id).orderBy(desc(count(article.id)), asc(author.id));
	assert.deepEqual(joined, [{ who: "Ann", n: 2 }, { who: "nameless", n: 1 }, { who: "Ben", n: 0 }]);
	assert.equal((await db.update(article).set({ published: true }).where(eq(article.authorId, 1))).rowsAffected, 2);
	await db.delete(author).where(eq(author.id, 1));
	assert.equal(await db.$count(article), 1, "the cascade");
});

test("a taken email is an error the app can handle", async () => {
	const db = await magazine("unique");
	await assert.rejects(db.insert(author).values({ email: "ann@example.com" }), causes(/UNIQUE constraint failed: author.email/));
	const [row] = await db.insert(author).values({ email: "ann@example.com", name: "Anne" })
		.onConflictDoUpdate({ target: author.email, set: { name: "Anne" } }).returning();
	assert.deepEqual([row.id, row.name], [1, "Anne"]);
	await db.insert(author).values({ email: "ben@example.com" }).onConflictDoNothing();
	assert.equal(await db.$count(author), 2);
});

test("a batch is all or nothing", async () => {
	const db = await magazine("batch");
	const [inserted, all] = await db.batch([
		db.insert(article).values({ authorId: 1, title: "One" }).returning({ id: article.id }),
		db.select().from(article),
	]);
	assert.deepEqual([inserted, all.length], [[{ id: 1 }], 1]);
	await assert.rejects(db.batch([db.delete(article), db.insert(author).values({ email: "ann@example.com" })]));
	assert.equal(await db.$count(article), 1);
});

test("a transaction commits, or leaves nothing, and so does one inside", async () => {
	const db = await magazine("transaction");
	await db.transaction(async (tx) => {
		await tx.insert(article).values({ authorId: 1, title: "One" });
		await assert.rejects(tx.transaction(async (inner) => {
			await inner.insert(article).values({ authorId: 2, title: "lost" });
			assert.equal(await inner.$count(article), 2);
			inner.rollback();
		}));
		await tx.transaction(async (inner) => {
			await inner.insert(article).values({ authorId: 2, title: "Two" });
		});
	});
	assert.deepEqual((await db.select().from(article).orderBy(asc(article.id))).map((a) => a.title), ["One", "Two"]);
	await assert.rejects(db.transaction(async (tx) => {
		await tx.delete(article);
		await tx.insert(author).values({ email: "ann@example.com" });
	}), causes(/UNIQUE constraint failed/));
	assert.equal(await db.$count(article), 2);
});

test("pages by key", async () => {
	const db = await magazine("pages");
	await db.insert(article).values(Array.from({ length: 500 }, (_, i) => ({ authorId: 1 + (i % 2), title: `article ${i}`, rating: i % 7 })));
	const seen = [];
	for (let after = 0; ;) {
		const page = await db.select().from(article).where(and(eq(article.authorId, 2), gt(article.id, after))).orderBy(asc(article.id)).limit(40);
		seen.push(...page.map((a) => a.title));
		if (page.length < 40)
			break;
		after = page.at(-1).id;
	}
	assert.deepEqual(seen, Array.from({ length: 250 }, (_, i) => `article ${2 * i + 1}`));
	const [{ title }] = await db.select().from(article).orderBy(desc(article.rating), asc(article.id)).limit(1).offset(3);
	assert.equal(title, "article 27");
});

test("users at the same time see only their own", async () => {
	await Promise.all(["m1", "m2", "m3", "m4"].map(async (user) => {
		const db = await magazine(user);
		await Promise.all(Array.from({ length: 10 }, (_, i) => db.insert(article).values({ authorId: 1, title: `${user} ${i}` })));
		const titles = await db.select({ title: article.title }).from(article);
		assert.equal(titles.length, 10);
		assert.ok(titles.every(({ title }) => title.startsWith(user)));
	}));
});

test("an outage of the store is told through fetch, and heals", async () => {
	const watched = watchedFetch(), db = await magazine("outage", watched);
	const written = await outage({
		write: (i) => db.transaction((tx) => tx.insert(article).values({ authorId: 1, title: `article ${i}` })),
		status: () => watched.status,
	});
	assert.equal(await db.$count(article), written);
});
