// Kysely with the libSQL dialect, whose own @libsql/client is an older one
// (0.8): bookings of rooms.

import { LibsqlDialect } from "@libsql/kysely-libsql";
import { Kysely, sql } from "kysely";
import { Migrator } from "kysely/migration";
import assert from "node:assert/strict";
import { test } from "node:test";
import { outage, token, url, watchedFetch } from "./lib/stack.mjs";

const migrations = {
	"1_rooms": {
		async up(db) {
			await db.schema.createTable("room").addColumn("id", "integer", (c) => c.primaryKey())
				.addColumn("name", "text", (c) => c.notNull().unique()).addColumn("plan", "blob").execute();
		},
		async down(db) {
			await db.schema.dropTable("room").execute();
		},
	},
	"2_bookings": {
		async up(db) {
			await db.schema.createTable("booking").addColumn("id", "integer", (c) => c.primaryKey())
				.addColumn("room", "integer", (c) => c.notNull().references("room.id").onDelete("cascade"))
				.addColumn("day", "text", (c) => c.notNull()).addColumn("price", "real")
				.addUniqueConstraint("one_a_day", ["room", "day"]).execute();
			await db.schema.createIndex("booking_by_day").on("booking").column("day").execute();
		},
		async down(db) {
			await db.schema.dropTable("booking").execute();
		},
	},
};

const connect = (user, fetch) => new Kysely({ dialect: new LibsqlDialect({ url, authToken: token(user), fetch }) });
const migrator = (db) => new Migrator({ db, provider: { getMigrations: async () => migrations } });

async function house(user, fetch) {
	const db = connect(user, fetch);
	const { error } = await migrator(db).migrateToLatest();
	assert.equal(error, undefined);
	await db.insertInto("room").values([{ name: "attic" }, { name: "cellar" }]).execute();
	return db;
}

const count = async (db, table) => (await db.selectFrom(table).select((e) => e.fn.countAll().as("n")).executeTakeFirstOrThrow()).n;

test("migrations go up and down", async () => {
	const db = connect("migrations");
	for (const [step, tables] of [["migrateToLatest", ["booking", "room"]], ["migrateDown", ["room"]], ["migrateUp", ["booking", "room"]]]) {
		const { error, results } = await migrator(db)[step]();
		assert.equal(error, undefined);
		assert.ok(results.every(({ status }) => status === "Success"));
		const found = (await db.introspection.getTables()).map(({ name }) => name).filter((name) => !name.startsWith("kysely"));
		assert.deepEqual(found.sort(), tables);
	}
	await db.destroy();
});

test("rows are inserted, joined, changed and removed", async () => {
	const db = await house("rows");
	const plan = new Uint8Array([1, 0, 255]);
	const { insertId } = await db.insertInto("room").values({ name: "hall", plan }).executeTakeFirst();
	assert.equal(insertId, 3n);
	const room = await db.selectFrom("room").selectAll().where("id", "=", 3).executeTakeFirstOrThrow();
	assert.deepEqual([room.name, [...new Uint8Array(room.plan)]], ["hall", [1, 0, 255]]);
	const booked = await db.insertInto("booking").values({ room: 3, day: "2026-03-01", price: 12.5 }).returning(["id", "price"]).executeTakeFirst();
	assert.deepEqual({ ...booked }, { id: 1, price: 12.5 });
	const joined = await db.selectFrom("room").leftJoin("booking", "booking.room", "room.id")
		.select(["room.name", sql`coalesce(price, 0)`.as("price")]).orderBy("room.id").execute();
	assert.deepEqual(joined.map((r) => [r.name, r.price]), [["attic", 0], ["cellar", 0], ["hall", 12.5]]);
	const { numUpdatedRows } = await db.updateTable("room").set({ plan: null }).executeTakeFirst();
	assert.equal(numUpdatedRows, 3n);
	const { numDeletedRows } = await db.deleteFrom("room").where("name", "=", "hall").executeTakeFirst();
	assert.equal(numDeletedRows, 1n);
	assert.equal(await count(db, "booking"), 0, "the cascade");
	await db.destroy();
});

test("a transaction commits, or leaves nothing", async () => {
	const db = await house("transaction");
	const book = (...days) => db.transaction().execute(async (tx) => {
		for (const day of days)
			await tx.insertInto("booking").values({ room: 1, day }).execute();
		return count(tx, "booking");
	});
	assert.equal(await book("2026-03-01", "2026-03-02"), 2);
	await assert.rejects(book("2026-03-03", "2026-03-01"), (e) => {
		assert.equal(e.code, "SQLITE_CONSTRAINT");
		assert.match(e.message, /UNIQUE constraint failed: booking.room, booking.day/);
		return true;
	});
	assert.equal(await count(db, "booking"), 2);
	await db.destroy();
});

test("a taken day is an error the app can handle", async () => {
	const db = await house("unique");
	const book = (day) => db.insertInto("booking").values({ room: 1, day })
		.onConflict((c) => c.columns(["room", "day"]).doNothing()).executeTakeFirst();
	assert.equal((await book("2026-03-01")).numInsertedOrUpdatedRows, 1n);
	assert.equal((await book("2026-03-01")).numInsertedOrUpdatedRows, 0n);
	await assert.rejects(db.insertInto("booking").values({ room: 99, day: "2026-03-01" }).execute(), /FOREIGN KEY constraint failed/);
	await db.destroy();
});

test("pages by key", async () => {
	const db = await house("pages");
	await db.insertInto("booking").values(Array.from({ length: 300 }, (_, i) => ({ room: 1, day: `day ${String(i).padStart(3, "0")}`, price: i }))).execute();
	const seen = [];
	for (let after = ""; ;) {
		const page = await db.selectFrom("booking").select(["day", "price"]).where("day", ">", after).orderBy("day").limit(32).execute();
		seen.push(...page.map((b) => b.price));
		if (page.length < 32)
			break;
		after = page.at(-1).day;
	}
	assert.deepEqual(seen, Array.from({ length: 300 }, (_, i) => i));
	await db.destroy();
});

test("transactions at the same time wait for each other", async () => {
	const db = await house("turns");
	await Promise.all(Array.from({ length: 5 }, (_, i) => db.transaction().execute(async (tx) => {
		const n = await count(tx, "booking");
		await tx.insertInto("booking").values({ room: 2, day: `${i}`, price: n }).execute();
	})));
	const prices = (await db.selectFrom("booking").select("price").orderBy("price").execute()).map((b) => b.price);
	assert.deepEqual(prices, [0, 1, 2, 3, 4]);
	await db.destroy();
});

test("an outage of the store is told through fetch, and heals", async () => {
	const watched = watchedFetch(), db = await house("outage", watched);
	const written = await outage({
		write: (i) => db.transaction().execute((tx) => tx.insertInto("booking").values({ room: 2, day: `${i}` }).execute()),
		status: () => watched.status,
	});
	assert.equal(await count(db, "booking"), written);
	await db.destroy();
});
