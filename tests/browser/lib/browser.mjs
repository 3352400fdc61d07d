// A browser in front of the stack that ../../tools/browser.sh has started, for tests
// of pages.  What nginx, the program and the store do is ../../clients/lib/stack.mjs.
//
//	const browser = await openBrowser();
//	const page = await browser.page(`${url}`);
//	...
//	await expectAccessible(page);
//	await screenshots(page, "front-page");
//	await browser.close();

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

const { CHROMIUM, SCRATCH } = process.env;
if (!CHROMIUM) {
	console.error("run me with tests/tools/browser.sh");
	process.exit(2);
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const pictures = new URL("../../screenshots/", import.meta.url).pathname;

export const phone = { width: 390, height: 844 };
export const desktop = { width: 1280, height: 800 };

// The profile is made for this browser and lies below SCRATCH.
export async function openBrowser() {
	const browser = await chromium.launch({
		executablePath: CHROMIUM,
		env: { ...process.env, HOME: SCRATCH },
		args: [
			"--no-sandbox",
			"--disable-gpu",
			"--disable-quic",
			"--no-first-run",
			"--disable-background-networking",
			"--disable-component-update",
			"--disable-sync",
		],
	});

	// A page in a context of its own: nothing is stored or cached from before.
	// `page.complaints` is what its console says is wrong, refusals by the
	// Content-Security-Policy among it.  Requests that fail are not counted: tests make
	// them fail.
	async function page(address, options = {}) {
		const context = await browser.newContext({ viewport: desktop, ...options });
		const opened = await context.newPage();

		opened.complaints = [];
		opened.on("pageerror", (error) => opened.complaints.push(String(error)));
		opened.on("console", (message) => {
			if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
				opened.complaints.push(message.text());
		});
		await opened.goto(address);
		return opened;
	}

	return { page, close: () => browser.close() };
}

// axe-core finds nothing, as the page is now, in light and dark.
export async function expectAccessible(page) {
	for (const colorScheme of ["light", "dark"]) {
		await page.emulateMedia({ colorScheme });
		if (!(await page.evaluate("typeof axe === 'object'")))
			await page.evaluate(axe);
		const { violations, passes } = await page.evaluate("axe.run()");
		assert.notEqual(passes.length, 0);
		assert.deepEqual(
			violations.map(({ id, help, nodes }) => ({ id, help, where: nodes.map(({ html }) => html) })),
			[],
			colorScheme,
		);
	}
	await page.emulateMedia({ colorScheme: null });
}

// tests/screenshots/NAME-phone.png and NAME-desktop.png, of the page as it is now.
export async function screenshots(page, name) {
	const before = page.viewportSize();

	mkdirSync(pictures, { recursive: true });
	for (const [label, size] of Object.entries({ phone, desktop })) {
		await page.setViewportSize(size);
		await page.screenshot({ path: `${pictures}${name}-${label}.png` });
	}
	await page.setViewportSize(before);
}
