// app/web/holdfast.js as the fetch of an official client, through an outage.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient } from "@libsql/client/http";
import { createClient as createWebClient } from "@libsql/client/web";

import { Holdfast } from "../../app/web/holdfast.js";
import { outage, store, syncStatus, token, until, url } from "./lib/stack.mjs";

for (const [build, create] of Object.entries({ http: createClient, web: createWebClient })) {
	test(`@libsql/client/${build} works with it, and it hears of an outage and of its end`, async () => {
		const holdfast = new Holdfast({ url });
		const client = create({ url, authToken: token(`web-${build}`), fetch: holdfast.fetch });
		const heard = [];

		for (const name of ["degraded", "healed"])
			holdfast.addEventListener(name, () => heard.push(name));
		await client.execute("CREATE TABLE note(text)");
		assert.equal(holdfast.status, "ok");
		const written = await outage({
			write: (i) => client.execute({ sql: "INSERT INTO note VALUES (?)", args: [`${i}`] }),
			status: () => (holdfast.status === "ok" ? null : holdfast.status),
		});
		assert.deepEqual(heard, ["degraded", "healed"]);
		const { rows } = await client.execute("SELECT count(*) AS n FROM note");
		assert.equal(rows[0].n, written);
		client.close();
		holdfast.close();
	});
}

test("an app that does nothing hears of the end, too, and a retry says what is true", async () => {
	const holdfast = new Holdfast({ url, token: () => token("idle"), poll: { minMs: 50 } });
	const post = (sql) =>
		holdfast.fetch(new URL("v1/execute", url), { method: "POST", body: JSON.stringify({ stmt: { sql } }) });

	assert.equal((await post("CREATE TABLE note(text)")).status, 200);
	await store.fails();
	assert.equal((await post("INSERT INTO note VALUES ('x')")).status, 200);
	await until("the server knows", async () => (await syncStatus("idle")) === "failed");
	assert.equal(await holdfast.retry(), false);
	assert.equal(holdfast.status, "failed");
	assert.equal((await holdfast.detail()).last_error, "throttled");
	assert.equal(holdfast.lastError, "throttled");
	await store.heals();
	await until("it has heard of it", () => holdfast.status === "ok");
	assert.equal(await holdfast.retry(), true);
	assert.equal((await holdfast.detail()).pending_commits, 0);
	holdfast.close();
});
