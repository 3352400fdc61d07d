// The page at /: what a browser shows of it, under the policy that nginx sends.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { url } from "../clients/lib/stack.mjs";
import { expectAccessible, openBrowser, screenshots } from "./lib/browser.mjs";

let browser;

before(async () => {
	browser = await openBrowser();
});

after(() => browser.close());

test("the page is there, nothing of it is refused, and everybody can read it", async () => {
	const page = await browser.page(url);

	assert.equal(await page.title(), "Holdfast");
	await expectAccessible(page);
	await screenshots(page, "front-page");
	assert.deepEqual(page.complaints, []);
});
