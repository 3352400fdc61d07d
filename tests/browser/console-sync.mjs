// The console beside a store that fails, and beside a second server that writes to the
// same database: what its user sees of it, and can do about it.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { after, afterEach, before, test } from "node:test";

import { request, store, token, until } from "../clients/lib/stack.mjs";
import { expectAccessible, openBrowser, phone, screenshots } from "./lib/browser.mjs";
import { cells, openConsole, run, state } from "./lib/console.mjs";

const otherUrl = process.env.HOLDFAST_OTHER_URL;
let browser;

before(async () => {
	browser = await openBrowser();
});

afterEach(() => store.heals());

after(() => browser.close());

const sync = async (user) => (await request(user, "GET", "v1/sync")).body;

// SQL as another server's user sends it, and its commit is in the store.
async function elsewhere(user, sql) {
	const headers = { authorization: `Bearer ${token(user)}` };
	const response = await fetch(`${otherUrl}/v1/execute`, {
		method: "POST",
		headers,
		body: JSON.stringify({ stmt: { sql } }),
	});

	assert.equal(response.status, 200);
	assert.equal((await fetch(`${otherUrl}/v1/sync`, { method: "POST", headers })).status, 200);
}

const transactions = (page) => page.locator("#sync .events .stored").count();

test("a push is seen on its way and in the picture, with how long it took", async () => {
	const page = await openConsole(browser, "kai");

	await store.slows(600);
	await run(page, "CREATE TABLE t (a)");
	await state(page, "dirty");
	await page.locator(".sync-title").getByText("1 commit on the way").waitFor();
	await state(page, "ok");
	await page
		.locator("#sync .events")
		.getByText(/^Transaction 1 stored in [\d,]+ ms$/)
		.waitFor();
	const [, ms] = /in ([\d,]+) ms/.exec(
		await page.locator("#sync .events .stored").textContent(),
	);
	assert.ok(Number(ms.replace(",", "")) >= 600, `${ms} ms`);
	assert.match(
		await page.getByRole("img", { name: /^In step/ }).getAttribute("aria-label"),
		/This server: 1 commit .*The store: 1, up to transaction 1/,
	);
	assert.equal(await page.locator(".timeline circle.stored").count(), 1);
	await page.getByRole("button", { name: "Push now" }).click();
	await page
		.locator("#sync-answer")
		.getByText("Everything that was committed is in the store.")
		.waitFor();
	assert.deepEqual(page.complaints, []);
});

test("an outage is shown with its reason, what waits grows, and it heals by itself", async () => {
	const page = await openConsole(browser, "lena");

	await run(page, "CREATE TABLE t (a)");
	await state(page, "ok");
	await until("it is stored", async () => (await sync("lena")).pending_commits === 0);
	await store.fails();
	await run(page, "INSERT INTO t VALUES (1)");
	await state(page, "failed");
	await page.locator(".sync-title").getByText("1 commit not in the store").waitFor();
	await page.locator(".sync-text").getByText("The store asks for patience.").waitFor();
	await run(page, "INSERT INTO t VALUES (2)");
	await run(page, "INSERT INTO t VALUES (3)");
	await page.locator("#badge").getByText("Behind by 3").waitFor();
	assert.equal(await page.locator(".link .waiting").count(), 3);
	await page.locator("#sync .events .failed").first().waitFor();
	assert.ok((await page.locator(".timeline .failure").count()) > 0);
	assert.ok((await page.locator(".timeline .phase.failed").count()) > 0);
	await page.getByRole("button", { name: "Push now" }).click();
	await page
		.locator("#sync-answer.problem")
		.getByText("3 commits are not in the store yet")
		.waitFor();
	await expectAccessible(page);
	await page.getByLabel("SQL", { exact: true }).focus();
	await screenshots(page, "console-failed");

	await store.heals();
	await state(page, "ok");
	await page.locator("#sync .events").getByText("Caught up").waitFor();
	assert.ok((await transactions(page)) > 0);
	assert.equal((await sync("lena")).pending_commits, 0);
	assert.deepEqual(page.complaints, []);
});

test("a server that does not answer is said to be silent, and is found again", async () => {
	const page = await openConsole(browser, "mara");

	await page.route("**/v1/sync", (route) => route.abort());
	await page.route("**/v3/pipeline", (route) => route.abort());
	await page.getByLabel("SQL", { exact: true }).fill("SELECT 1");
	await page.getByRole("button", { name: "Run" }).click();
	await page.locator(".result.failed").getByText("The server did not answer.").waitFor();
	await state(page, "unreachable");
	await page.unroute("**/v1/sync");
	await page.route("**/v1/sync", (route) =>
		route.fulfill({ status: 503, json: { code: "BUSY", message: "busy" } }),
	);
	await page.locator(".sync-text").getByText("busy. It is asked again").waitFor();
	await page.unroute("**/v1/sync");
	await state(page, "ok");
	assert.deepEqual(page.complaints, []);
});

// `user` has written here and elsewhere; the page shows it.
async function conflict(user, options) {
	await request(user, "POST", "v1/execute", { stmt: { sql: "CREATE TABLE note (text)" } });
	await until("it is stored", async () => (await sync(user)).pending_commits === 0);
	const page = await openConsole(browser, user, options);

	await elsewhere(user, "INSERT INTO note VALUES ('there')");
	await run(page, "INSERT INTO note VALUES ('here')");
	await state(page, "conflict");
	return page;
}

test("of a conflict both sides are shown, the store's is kept, and the other is downloaded", async () => {
	const page = await conflict("nina");
	const part = page.getByRole("region", {
		name: "Two servers have written to this database",
	});

	assert.match(
		await part.textContent(),
		/This serverAgreedup to transaction 1Since then1 commit of its own/,
	);
	assert.match(
		await part.textContent(),
		/The storeAgreedup to transaction 1Since thenanother server's, from transaction 2 on/,
	);
	assert.doesNotMatch(await part.textContent(), /null|undefined/);
	await expectAccessible(page);
	await screenshots(page, "console-conflict");
	await run(page, "SELECT * FROM note");
	assert.deepEqual(await cells(page), [["here"]]);
	await run(page, "INSERT INTO note VALUES ('refused')");
	await page.locator(".result.failed").getByText("Decide which side is kept").waitFor();

	await part.getByRole("button", { name: "Keep the store's" }).click();
	await page
		.getByRole("dialog")
		.getByText("with 1 commit that the store does not have, is set aside")
		.waitFor();
	await expectAccessible(page);
	await screenshots(page, "console-conflict-dialog");
	await page.keyboard.press("Escape");
	assert.equal((await sync("nina")).status, "conflict");
	await part.getByRole("button", { name: "Keep the store's" }).click();
	await page.getByRole("dialog").getByRole("button", { name: "Keep the store's" }).click();
	await state(page, "ok");
	await part.waitFor({ state: "hidden" });
	await run(page, "SELECT * FROM note");
	assert.deepEqual(await cells(page), [["there"]]);

	const download = page.waitForEvent("download");
	await page.locator("#kept").getByRole("button", { name: "Download" }).click();
	const file = await download;
	const [{ name }] = (await sync("nina")).kept;
	assert.equal(file.suggestedFilename(), `nina-kept-${name}`);
	const copy = `${process.env.SCRATCH}/kept.sqlite`;
	await writeFile(copy, await readFile(await file.path()));
	const kept = new DatabaseSync(copy, { readOnly: true });
	assert.equal(kept.prepare("SELECT text FROM note").get().text, "here");
	kept.close();
	await expectAccessible(page);
	await screenshots(page, "console-kept");
	assert.deepEqual(page.complaints, []);
});

test("this server's side is kept, on a phone, and a token that reads only decides nothing", async () => {
	const page = await conflict("olga", { viewport: phone });

	await expectAccessible(page);
	const reader = await openConsole(browser, "olga", { claims: { a: "ro" } });
	assert.equal(
		await reader
			.getByRole("button", { name: "Keep this server's" })
			.getAttribute("aria-disabled"),
		"true",
	);
	await reader.getByRole("button", { name: "Keep this server's" }).click({ force: true });
	assert.equal(await reader.getByRole("dialog").count(), 0);

	await page.getByRole("button", { name: "Keep this server's" }).click();
	await page.getByRole("dialog").getByText("holdfast restore olga --txid 2").waitFor();
	await page.getByRole("dialog").getByRole("button", { name: "Keep this server's" }).click();
	await state(page, "ok");
	await until("it is stored", async () => (await sync("olga")).pending_commits === 0);
	assert.equal((await sync("olga")).remote_txid, 3);
	await state(reader, "ok");
	assert.deepEqual([...page.complaints, ...reader.complaints], []);
});

test("the database is downloaded, or it is said why not", async () => {
	const page = await openConsole(browser, "pia");

	await page.route("**/v1/export", (route) =>
		route.fulfill({ status: 404, json: { code: "NOT_FOUND", message: "not found" } }),
	);
	await page.getByRole("button", { name: "Download" }).click();
	await page
		.locator("#sync-answer.problem")
		.getByText("cannot export a database yet")
		.waitFor();
	await page.unroute("**/v1/export");
	await page.route("**/v1/export", (route) => {
		assert.match(route.request().headers().authorization, /^Bearer /);
		return route.fulfill({
			body: "SQLite format 3\0",
			contentType: "application/vnd.sqlite3",
		});
	});
	const download = page.waitForEvent("download");
	await page.getByRole("button", { name: "Download" }).click();
	assert.equal((await download).suggestedFilename(), "pia.sqlite");
	await page.locator("#sync-answer").getByText("pia.sqlite (16 bytes)").waitFor();
	assert.deepEqual(page.complaints, []);
});
