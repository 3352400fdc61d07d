// The console, as somebody uses it.
import { token, url } from "../../clients/lib/stack.mjs";

// Signed in as `user`, with the state known.
export async function openConsole(browser, user, { claims, ...options } = {}) {
	const page = await browser.page(url, options);

	await page.getByLabel("Token").fill(token(user, claims));
	await page.getByRole("button", { name: "Sign in" }).click();
	await page.locator("#badge:not([data-state=unknown])").waitFor();
	return page;
}

// What is in the editor is replaced, run, and its results are there.
export async function run(page, sql) {
	await page.getByLabel("SQL", { exact: true }).fill(sql);
	await page.getByRole("button", { name: "Run" }).click();
	await page
		.locator("#results:not([aria-busy]) .aside, #results:not([aria-busy]) .failed")
		.last()
		.waitFor();
}

// The cells of a table, row by row.
export function cells(page, nth = 0) {
	return page
		.locator("#results table")
		.nth(nth)
		.locator("tbody tr")
		.evaluateAll((rows) =>
			rows.map((row) => [...row.cells].map((cell) => cell.textContent)),
		);
}

export const state = (page, name) =>
	page.locator(`#badge[data-state=${name}]`).waitFor({ state: "attached" });
