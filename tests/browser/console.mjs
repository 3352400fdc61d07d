// The console at /: signing in, SQL and what comes of it, the schema, the history; with a
// mouse, with keys alone, and with names and values that would be markup.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { request, token, until, url } from "../clients/lib/stack.mjs";
import { desktop, expectAccessible, openBrowser, phone, screenshots } from "./lib/browser.mjs";
import { cells, openConsole, run } from "./lib/console.mjs";

let browser;

before(async () => {
	browser = await openBrowser();
});

after(() => browser.close());

test("a token that is none, one that is refused and one that has expired are told apart", async () => {
	const page = await browser.page(url);
	const field = page.getByLabel("Token");
	const problem = page.getByRole("alert");

	assert.equal(await field.evaluate((e) => e === document.activeElement), true);
	await screenshots(page, "console-sign-in");
	await page.keyboard.press("Enter");
	await problem.getByText("Paste a token first.").waitFor();
	await field.fill("nonsense");
	await page.keyboard.press("Enter");
	await problem.getByText("does not accept").waitFor();
	await field.fill(`${token("alice").slice(0, -6)}AAAAAA`);
	await page.getByText("For alice, good until").waitFor();
	await page.keyboard.press("Enter");
	await problem.getByText("does not accept").waitFor();
	await field.fill(token("alice", { exp: 1 }));
	await page.keyboard.press("Enter");
	await problem.getByText("has expired").waitFor();
	await expectAccessible(page);
	assert.equal(await page.locator("#app").isHidden(), true);

	await field.fill(token("alice"));
	await page.keyboard.press("Enter");
	await page.getByText("Signed in as alice").waitFor();
	await page.reload();
	await page.getByText("Signed in as alice").waitFor();
	assert.equal(page.url(), url);
	assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), []);
	await page.getByRole("button", { name: "Sign out" }).click();
	await field.waitFor();
	assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), []);
	await page.reload();
	await field.waitFor();
	assert.deepEqual(page.complaints, []);
});

test("statements run in order, each with its result at its place, and rows come in pages", async () => {
	const page = await openConsole(browser, "bert");

	await page.getByRole("button", { name: "Write an example" }).click();
	await page.keyboard.press("Control+Enter");
	await page.locator(".result").nth(2).waitFor();
	assert.deepEqual((await cells(page))[0].slice(0, 2), ["1", "The first note"]);
	assert.match(
		await page.locator(".result").nth(1).textContent(),
		/1 row affected.*last insert id 1.*ms/,
	);
	await run(
		page,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250)
		SELECT i, i / 2.0 AS half, NULL AS nil, x'00ff' AS bytes, 'a' || char(10) || 'b' AS lines FROM n`,
	);
	assert.match(await page.locator(".meta").textContent(), /^250 rows.*rows read$/);
	assert.equal((await cells(page)).length, 100);
	assert.deepEqual((await cells(page))[0], ["1", "0.5", "NULL", "x'00ff' 2 bytes", "a⏎b"]);
	assert.equal(
		await page
			.locator("td.v-integer")
			.first()
			.evaluate((e) => getComputedStyle(e).textAlign),
		"right",
	);
	await page.getByRole("button", { name: "Next page" }).click();
	assert.equal((await cells(page))[0][0], "101");
	await page.getByRole("button", { name: "Last page" }).click();
	assert.equal((await cells(page)).length, 50);
	await page.getByText("201–250 of 250", { exact: true }).waitFor();
	await page.getByRole("button", { name: "Next page" }).click({ force: true });
	assert.equal((await cells(page))[0][0], "201");
	await page.getByRole("button", { name: "a⏎b" }).first().click();
	assert.equal(await page.locator("#cell-text").textContent(), "a\nb");
	await expectAccessible(page);
	await page.keyboard.press("Escape");

	const download = page.waitForEvent("download");
	await page.getByRole("button", { name: "CSV" }).click();
	const lines = (await readFile(await (await download).path(), "utf8")).split("\r\n");
	assert.equal(lines.length, 252);
	assert.deepEqual(lines.slice(0, 2), ["i,half,nil,bytes,lines", '1,0.5,,00ff,"a\nb"']);

	await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
	await page.getByRole("button", { name: "Copy" }).click();
	await page.getByRole("button", { name: "Copied" }).waitFor();
	assert.match(
		await page.evaluate(() => navigator.clipboard.readText()),
		/^i\thalf\tnil\tbytes\tlines\n1\t0\.5\t\t00ff\t"a\nb"\n/,
	);
	assert.deepEqual(page.complaints, []);
});

test("an error stands at its statement and leads to it, and what came before stays done", async () => {
	const page = await openConsole(browser, "cleo");
	const sql =
		"CREATE TABLE t (a);\nINSERT INTO t VALUES (1);\nSELECT a,\n\tnope FROM t;\nSELECT 'not reached';";

	await run(page, sql);
	assert.match(
		await page.locator(".result.failed").textContent(),
		/Line 3.*no such column: nope.*SQL_INPUT_ERROR/,
	);
	assert.equal(await page.locator(".result").count(), 3);
	await page.getByText("1 statement after it was not run.").waitFor();
	assert.equal(await page.locator("#sql-colours .bad").textContent(), "nope");
	await screenshots(page, "console-error");
	await page.getByRole("button", { name: "Show in the editor" }).click();
	assert.equal(await page.evaluate(() => getSelection().toString()), "nope");
	await expectAccessible(page);

	// A part that is selected is run alone, and its errors are still at the right place.
	await page.getByLabel("SQL", { exact: true }).evaluate((area) => {
		area.setSelectionRange(
			area.value.indexOf("SELECT a"),
			area.value.indexOf(";\nSELECT 'not"),
		);
		area.focus();
	});
	await page.getByRole("button", { name: "Run selection" }).click();
	await page.getByText("1 statement,").waitFor();
	assert.match(await page.locator(".result.failed").textContent(), /Line 3/);

	await run(page, "BEGIN; INSERT INTO t VALUES (2)");
	await page.getByText("has been rolled back").waitFor();
	await run(page, "SELECT count(*) FROM t");
	assert.deepEqual(await cells(page), [["1"]]);
	await run(
		page,
		"SELECT hex(zeroblob(3000000)) FROM (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)",
	);
	await page.getByText("add a LIMIT").waitFor();
	assert.deepEqual(page.complaints, []);
});

test("a token that reads only, and one that ends while it is used", async () => {
	await request("dora", "POST", "v1/execute", { stmt: { sql: "CREATE TABLE t (a)" } });
	const page = await openConsole(browser, "dora", { claims: { a: "ro" } });

	await page.getByText("read only").waitFor();
	await run(page, "INSERT INTO t VALUES (1)");
	await page.getByText("This token allows reading only.").waitFor();
	// As if it had: the server says so to the next request.
	await page.route("**/v3/pipeline", (route) =>
		route.fulfill({
			status: 401,
			json: { code: "TOKEN_EXPIRED", message: "the token has expired" },
		}),
	);
	await page.getByLabel("SQL", { exact: true }).fill("SELECT 'still here'");
	await page.getByRole("button", { name: "Run" }).click();
	await page.getByRole("alert").getByText("has expired").waitFor();
	await page.unroute("**/v3/pipeline");
	await page.getByLabel("Token").fill(token("dora"));
	await page.keyboard.press("Enter");
	assert.equal(
		await page.getByLabel("SQL", { exact: true }).inputValue(),
		"SELECT 'still here'",
	);
	assert.deepEqual(page.complaints, []);
});

test("with keys alone: sign in, write, run, read on, recall, change the theme, sign out", async () => {
	const page = await browser.page(url);
	const press = async (...keys) => {
		for (const key of keys)
			await page.keyboard.press(key);
	};
	const focused = () =>
		page.evaluate(
			() =>
				document.activeElement.id ||
				document.activeElement.getAttribute("aria-label") ||
				document.activeElement.textContent,
		);
	const tabTo = (name, key = "Tab") =>
		until(`${name} has the focus`, async () => {
			await press(key);
			return (await focused()) === name;
		});

	await page.keyboard.insertText(token("emil"));
	await press("Enter");
	await page.getByText("Signed in as emil").waitFor();
	assert.equal(await focused(), "sql");
	await page.keyboard.type("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)");
	await press("Control+Enter");
	await page.getByText("2 statements,").waitFor();
	await press("Control+A");
	await page.keyboard.type("SELECT * FROM t");
	await press("Control+Enter");
	await page.getByText("1 statement,").waitFor();
	assert.equal((await cells(page)).length, 2);
	await press("Control+Home", "ArrowUp");
	assert.match(await page.getByLabel("SQL", { exact: true }).inputValue(), /^CREATE TABLE/);
	await press("Control+End", "ArrowDown");
	assert.equal(await page.getByLabel("SQL", { exact: true }).inputValue(), "SELECT * FROM t");

	await tabTo("run");
	await tabTo("Rows of statement 1");
	await tabTo("history-search", "Shift+Tab");
	await press("ArrowDown", "ArrowDown");
	assert.match(await focused(), /^CREATE TABLE/);
	await press("Delete", "Enter");
	assert.equal(await page.getByLabel("SQL", { exact: true }).inputValue(), "SELECT * FROM t");
	assert.equal(await focused(), "sql");
	await tabTo("Columns of t", "Shift+Tab");
	await press("Enter");
	await page.getByTitle("Insert a", { exact: true }).waitFor();
	await tabTo("Theme: system", "Shift+Tab");
	await press("Enter", "Enter");
	assert.equal(
		await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
		"rgb(14, 19, 18)",
	);
	await page.reload();
	assert.equal(
		await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
		"rgb(14, 19, 18)",
	);
	await page.getByText("Signed in as emil").waitFor();
	await tabTo("sign-out", "Shift+Tab");
	await press("Enter");
	await page.locator("#token:focus").waitFor();
	assert.deepEqual(page.complaints, []);
});

test("the schema shows what there is, follows changes, and writes a SELECT", async () => {
	const page = await openConsole(browser, "fred");
	const schema = page.locator("#schema");

	await schema.getByText("No tables yet.").waitFor();
	await run(
		page,
		`CREATE TABLE "order" (id INTEGER PRIMARY KEY, "what for" TEXT NOT NULL, n INTEGER GENERATED ALWAYS AS (id * 2));
		CREATE INDEX order_what ON "order" ("what for");
		CREATE TRIGGER order_done AFTER INSERT ON "order" BEGIN SELECT 1; SELECT 2; END;
		CREATE VIEW recent AS SELECT * FROM "order" ORDER BY id DESC;
		INSERT INTO "order" ("what for") VALUES ('bread');`,
	);
	await schema.getByRole("button", { name: "Columns of order" }).click();
	await schema.getByTitle("generated").waitFor();
	assert.match(
		await schema.locator(".inside").first().textContent(),
		/idINTEGERPK.*what forTEXTNN.*nINTEGERGEN.*order_what.*order_done/,
	);
	await expectAccessible(page);
	await screenshots(page, "console-schema");
	await schema.getByTitle("SELECT from order").click();
	assert.equal(
		await page.getByLabel("SQL", { exact: true }).inputValue(),
		'SELECT * FROM "order" LIMIT 100;',
	);
	await page.keyboard.press("Control+Enter");
	await page.locator("#results table").waitFor();
	assert.deepEqual(await cells(page), [["1", "bread", "2"]]);
	// What is being written stays, and what was chosen is what runs.
	await page.keyboard.type("-- unfinished");
	await schema.getByTitle("SELECT from recent").click();
	await page.getByRole("button", { name: "Run selection" }).waitFor();
	assert.match(
		await page.getByLabel("SQL", { exact: true }).inputValue(),
		/^SELECT.*-- unfinished\n\nSELECT \* FROM recent LIMIT 100;$/s,
	);
	await run(page, 'DROP VIEW recent; DROP TABLE "order"');
	await schema.getByText("No tables yet.").waitFor();
	assert.deepEqual(page.complaints, []);
});

test("the history survives a reload, is searched, deleted, and another user does not see it", async () => {
	const page = await openConsole(browser, "gina");
	const entries = page.locator("#history .entry");

	for (const sql of ["SELECT 'one'", "SELECT 'two'", "SELECT nope", "SELECT 'one'"])
		await run(page, sql);
	assert.equal(await entries.count(), 3);
	await page.reload();
	await entries.nth(2).waitFor();
	assert.deepEqual(await entries.locator("code").allTextContents(), [
		"SELECT 'one'",
		"SELECT nope",
		"SELECT 'two'",
	]);
	assert.match(await entries.nth(1).textContent(), /failed, /);
	await page.getByLabel("Search the history").fill("TWO");
	assert.equal(await entries.count(), 1);
	await entries.click();
	assert.equal(await page.getByLabel("SQL", { exact: true }).inputValue(), "SELECT 'two'");
	await page.getByLabel("Search the history").fill("");
	await page.getByRole("button", { name: "Remove SELECT nope" }).click();
	assert.equal(await entries.count(), 2);

	await page.getByRole("button", { name: "Sign out" }).click();
	await page.getByLabel("Token").fill(token("hugo"));
	await page.keyboard.press("Enter");
	await page.locator("#history").getByText("Nothing has been run yet.").waitFor();
	await page.getByRole("button", { name: "Sign out" }).click();
	await page.getByLabel("Token").fill(token("gina"));
	await page.keyboard.press("Enter");
	await entries.nth(1).waitFor();
	await page.getByRole("button", { name: "Clear", exact: true }).click();
	await page.getByRole("dialog").getByRole("button", { name: "Clear" }).click();
	await page.locator("#history").getByText("Nothing has been run yet.").waitFor();
	assert.deepEqual(await page.evaluate(() => Object.values(localStorage).join()), "[]");
	assert.deepEqual(page.complaints, []);
});

test("names and values that would be markup are text, everywhere", async () => {
	const evil = "<img src=x onerror=alert(1)>";
	const name = (i) => `"${i}${evil}<script>alert(1)</script>&amp;"`;
	const page = await openConsole(browser, "ivan");
	const dialogs = [];

	page.on("dialog", (dialog) => {
		dialogs.push(dialog.message());
		dialog.dismiss();
	});
	await run(
		page,
		`CREATE TABLE ${name(1)} (${name(2)} ${name(3)}, b);
		CREATE INDEX ${name(4)} ON ${name(1)} (${name(2)});
		CREATE TRIGGER ${name(5)} AFTER INSERT ON ${name(1)} BEGIN SELECT 1; END;
		CREATE VIEW ${name(6)} AS SELECT * FROM ${name(1)};
		INSERT INTO ${name(1)} VALUES ('${evil}', '${"<b>long</b>".repeat(40)}');
		SELECT * FROM ${name(1)};
		SELECT ${name(7)}.x`,
	);
	assert.equal((await cells(page))[0][0], evil);
	await page.locator("#results button.cell").click();
	await page.locator("#cell-text").getByText("<b>long</b>").waitFor();
	await page.keyboard.press("Escape");
	await page.getByRole("button", { name: /^Columns of 1</ }).click();
	await page.locator("#schema .type").first().waitFor();
	for (const summary of await page.locator("#schema summary").all())
		await summary.click();
	assert.match(await page.locator("#schema").textContent(), /1<img.*4<img.*5<img.*6<img/s);
	assert.deepEqual(
		await page.evaluate(
			() => [...document.querySelectorAll("img, b, script:not([src])")].length,
		),
		0,
	);
	await page.locator("#history .entry").first().click();
	assert.equal(await page.locator("#app img").count(), 0);
	assert.deepEqual(dialogs, []);
	assert.deepEqual(page.complaints, []);
});

test("on a phone one view at a time, each of them whole", async () => {
	const page = await openConsole(browser, "jana", { viewport: phone });

	await run(
		page,
		"CREATE TABLE a_table_with_quite_a_long_name_for_a_phone (a_column INTEGER, another TEXT); SELECT 1, 'two' AS b",
	);
	for (const view of ["Query", "Schema", "History", "Sync"]) {
		await page
			.getByRole("navigation", { name: "Views" })
			.getByRole("button", { name: view })
			.click();
		await page.locator(`#${view.toLowerCase()}`).waitFor();
		await expectAccessible(page);
		assert.equal(
			await page.evaluate(() => document.documentElement.scrollWidth),
			phone.width,
		);
		await screenshots(page, `console-${view.toLowerCase()}`);
	}
	await page.setViewportSize(desktop);
	assert.equal(await page.locator("#query").isVisible(), true);
	assert.deepEqual(page.complaints, []);
});
