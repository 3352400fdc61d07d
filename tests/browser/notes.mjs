// An app that uses app/web, on another origin than Holdfast: what its user is told when
// the store is away, and when another host has written.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { request, store, syncStatus, token, until, url } from "../clients/lib/stack.mjs";
import { serveApp } from "./lib/app-server.mjs";
import { expectAccessible, openBrowser, screenshots } from "./lib/browser.mjs";

const otherUrl = `${process.env.HOLDFAST_OTHER_URL}/`;

let app, browser;

before(async () => {
	[app, browser] = await Promise.all([serveApp("notes", url), openBrowser()]);
});

afterEach(() => store.heals());

after(() => Promise.all([browser.close(), app.close()]));

// The app of a user, ready to be used.  `shows` is how often the banner has been there.
async function open(user, { grace } = {}) {
	const page = await browser.page("about:blank");

	await page.clock.install();
	await page.addInitScript((seconds) => {
		addEventListener("DOMContentLoaded", () => {
			const banner = document.querySelector("holdfast-banner");

			banner.setAttribute("grace", seconds);
			window.shows = 0;
			new MutationObserver(() => (window.shows += banner.hasAttribute("shown") ? 1 : 0)).observe(banner, {
				attributeFilter: ["shown"],
			});
		});
	}, grace ?? 2);
	await page.goto(`${app.url}#${encodeURIComponent(`${url} ${token(user)}`)}`);
	await page.waitForSelector("[data-ready]");
	await until("the notes are in the store", async () => (await detail(user)).pending_commits === 0);
	return {
		page,
		banner: page.locator("holdfast-banner"),
		text: page.locator("holdfast-banner [role=status]"),
		retry: page.getByRole("button", { name: /^Try/ }),
	};
}

async function detail(user) {
	return (await request(user, "GET", "v1/sync")).body;
}

async function write(page, text) {
	await page.getByLabel("A new note").fill(text);
	await page.getByRole("button", { name: "Add" }).click();
	await page.getByRole("listitem").getByText(text, { exact: true }).waitFor();
}

// The page's time runs faster, so that it asks sooner.
async function isHealed(page, user) {
	await until("the store has it", async () => (await detail(user)).status === "ok");
	await until("the page has heard of it", async () => {
		await page.clock.fastForward(1000);
		return (await page.locator("body").getAttribute("data-sync")) === "ok";
	});
}

const isTold = (page, status) => page.waitForSelector(`body[data-sync=${status}]`);

test("a failure is told after the grace, a retry honestly, and the end of it by itself", async () => {
	const { page, banner, text, retry } = await open("nora", { grace: 1 });

	await store.fails();
	await write(page, "not stored yet");
	await until("the server knows", async () => (await syncStatus("nora")) === "failed");
	await write(page, "neither");
	await isTold(page, "failed");
	assert.equal(await banner.getAttribute("shown"), null);
	await text.getByText("its backup is behind").waitFor();
	assert.equal(await page.getByRole("listitem").count(), 2);
	await expectAccessible(page);
	await screenshots(page, "notes-failed");

	await retry.click();
	await text.getByText("still behind").waitFor();
	assert.equal((await detail("nora")).status, "failed");
	await screenshots(page, "notes-retry-failed");

	await store.heals();
	await isHealed(page, "nora");
	assert.equal(await banner.getAttribute("shown"), null);
	assert.equal((await detail("nora")).pending_commits, 0);
	assert.equal(await text.textContent(), "The backup is complete again.");
	assert.equal(await retry.count(), 0);
	await expectAccessible(page);
	await page.clock.fastForward(6000);
	assert.equal(await text.textContent(), "");
	assert.deepEqual(page.complaints, []);
});

test("a retry that succeeds takes the banner away, and the button says that it works", async () => {
	const { page, retry } = await open("rita", { grace: 0 });

	await store.fails();
	await write(page, "not stored yet");
	await until("the server knows", async () => (await syncStatus("rita")) === "failed");
	await write(page, "neither");
	await retry.waitFor();
	await retry.focus();
	await store.slows(700);
	await page.keyboard.press("Enter");
	await page.getByRole("button", { name: "Trying…", disabled: true }).waitFor();
	await page.waitForSelector("holdfast-banner:not([shown])", { state: "attached" });
	assert.equal((await detail("rita")).pending_commits, 0);
	assert.deepEqual(page.complaints, []);
});

test("a failure that is shorter than the grace is not shown", async () => {
	const { page } = await open("sven", { grace: 60 });

	await store.fails();
	await write(page, "not stored yet");
	await until("the server knows", async () => (await syncStatus("sven")) === "failed");
	await write(page, "neither");
	await isTold(page, "failed");
	await page.clock.fastForward(30_000);
	await store.heals();
	await isHealed(page, "sven");
	await page.clock.fastForward(120_000);
	assert.equal(await page.evaluate("shows"), 0);

	await store.fails();
	await write(page, "again");
	await until("the server knows", async () => (await syncStatus("sven")) === "failed");
	await write(page, "and again");
	await isTold(page, "failed");
	await page.clock.fastForward(60_000);
	await page.waitForSelector("holdfast-banner[shown]");
	assert.equal(await page.evaluate("shows"), 1);
});

test("a conflict is told, with what it means, until it is resolved", async () => {
	const { page, text, retry } = await open("carl");
	const there = (sql) => request("carl", "POST", new URL("v1/execute", otherUrl), { stmt: { sql } });

	assert.equal((await there("SELECT * FROM note")).status, 200);
	assert.equal((await there("INSERT INTO note VALUES ('written there')")).status, 200);
	await until("that is in the store", async () => {
		const { body } = await request("carl", "GET", new URL("v1/sync", otherUrl));
		return body.pending_commits === 0;
	});
	await write(page, "written here");
	await until("the server knows", async () => (await syncStatus("carl")) === "conflict");
	await page.getByLabel("A new note").fill("refused");
	await page.getByRole("button", { name: "Add" }).click();
	await text.getByText("also changed on another server").waitFor();
	await page.getByRole("alert").getByText("another host").waitFor();
	assert.equal(await retry.count(), 0);
	await expectAccessible(page);
	await screenshots(page, "notes-conflict");

	assert.equal((await request("carl", "POST", "v1/sync/resolve", { keep: "remote" })).status, 200);
	await isHealed(page, "carl");
	assert.equal(await page.locator("holdfast-banner").getAttribute("shown"), null);
	assert.deepEqual(page.complaints, []);
});

test("an app may import it from Holdfast instead of copying it", async () => {
	const page = await browser.page(`${app.url}notes.css`);
	const status = await page.evaluate(async ([url, token]) => {
		const { Holdfast } = await import(`${url}web/holdfast.js`);
		const { HoldfastBanner } = await import(`${url}web/holdfast-banner.js`);
		const holdfast = new Holdfast({ url, token, id: "imported" });
		const banner = new HoldfastBanner();

		banner.setAttribute("for", "imported");
		document.body.append(banner);
		await holdfast.detail();
		return banner.holdfast === holdfast && holdfast.status;
	}, [url, token("ida")]);
	assert.equal(status, "ok");
	assert.deepEqual(page.complaints, []);
});

// A banner on a page of its own, with a Holdfast of which the test decides everything.
async function openAlone(markup) {
	const page = await browser.page(app.url);

	await page.evaluate(async (html) => {
		class Puppet extends EventTarget {
			status = null;
			since = null;
			retry = () => Promise.reject(new TypeError("fetch failed"));
			become(status) {
				this.status = status;
				this.since = status === "ok" ? null : new Date();
				this.dispatchEvent(new Event("change"));
			}
		}
		window.puppet = new Puppet();
		document.body.innerHTML = html;
		// Before the element is defined, or after: both are to work.
		document.querySelector("holdfast-banner").holdfast = window.puppet;
		await import("/web/holdfast-banner.js");
	}, markup);
	return { page, banner: page.locator("holdfast-banner"), retry: page.getByRole("button") };
}

test("texts, markup and looks are the app's", async () => {
	const { page, banner, retry } = await openAlone(`
		<holdfast-banner grace="0" retry-text="Nochmal" failed-text="Noch nicht gesichert.">
			<span slot="conflict">Konflikt: <a href="#conflict">wählen</a></span>
		</holdfast-banner>`);

	await page.evaluate(() => puppet.become("failed"));
	await banner.getByText("Noch nicht gesichert.").waitFor();
	assert.equal(await page.getByRole("link").isVisible(), false);
	await banner.evaluate((element) => element.setAttribute("failed-text", "Bald gesichert."));
	await banner.getByText("Bald gesichert.").waitFor();
	await retry.and(page.getByText("Nochmal")).click();
	await banner.getByText("could not be asked").waitFor();
	await page.evaluate(() => puppet.become("conflict"));
	await page.getByRole("link").and(page.getByText("wählen")).waitFor();
	assert.equal(await retry.count(), 0);

	const background = () =>
		banner.evaluate((element) => getComputedStyle(element.shadowRoot.querySelector("[part~=banner]")).backgroundColor);
	await page.emulateMedia({ colorScheme: "light" });
	const usual = await background();
	await banner.evaluate((element) => element.style.setProperty("--holdfast-background", "rgb(1, 2, 3)"));
	assert.equal(await background(), "rgb(1, 2, 3)");
	assert.notEqual(usual, "rgb(1, 2, 3)");
});

test("it moves only where motion is welcome", async () => {
	const animation = async (reducedMotion) => {
		const { page, banner } = await openAlone(`<holdfast-banner grace="0"></holdfast-banner>`);

		await page.emulateMedia({ reducedMotion });
		await page.evaluate(() => puppet.become("failed"));
		return banner.evaluate((element) => getComputedStyle(element.shadowRoot.querySelector("[part~=banner]")).animationName);
	};

	assert.equal(await animation("no-preference"), "appear");
	assert.equal(await animation("reduce"), "none");
});

test("it follows its Holdfast, in and out of the page, and another one instead", async () => {
	const { page } = await openAlone(`<holdfast-banner grace="0"></holdfast-banner>`);

	const shown = await page.evaluate(() => {
		const banner = document.querySelector("holdfast-banner");
		const seen = [];
		const look = () => seen.push(banner.hasAttribute("shown"));

		puppet.become("failed");
		look();
		banner.remove();
		look();
		puppet.become("ok");
		document.body.append(banner);
		look();
		puppet.become("failed");
		look();
		const other = new puppet.constructor();
		banner.holdfast = other;
		look();
		puppet.become("conflict");
		look();
		other.become("conflict");
		look();
		banner.holdfast = null;
		look();
		return seen;
	});
	assert.deepEqual(shown, [true, false, false, true, false, false, true, false]);
});
