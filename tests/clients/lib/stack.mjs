// The stack that ../../tools/client.sh has started: nginx, four workers, and a
// store behind the fault proxy.

import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const { HOLDFAST_URL, HOLDFAST_KEY_FILE, HOLDFAST_FAULTS } = process.env;
if (!HOLDFAST_URL) {
	console.error("run me with tests/tools/client.sh");
	process.exit(2);
}

// With the slash that @libsql/client needs to find its paths below it.
export const url = `${HOLDFAST_URL}/`;

// As an app's backend would sign it.
export function token(user, claims = {}) {
	const encode = (object) => Buffer.from(JSON.stringify(object)).toString("base64url");
	const now = Math.floor(Date.now() / 1000);
	const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ sub: user, exp: now + 3600, ...claims })}`;
	const key = readFileSync(HOLDFAST_KEY_FILE, "latin1").replace(/\n$/, "");
	return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

// { status, headers, body } of a request without any client.  `user` may be null.
export async function request(user, method, path, body) {
	const headers = user === null ? {} : { authorization: `Bearer ${token(user)}` };
	const response = await fetch(new URL(path, url), {
		method,
		headers,
		body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
	});
	const text = await response.text();
	let json;
	try {
		json = text === "" ? null : JSON.parse(text);
	} catch {
		json = text;
	}
	return { status: response.status, headers: response.headers, body: json };
}

// As a program without a look at its client's responses does it.
export async function syncStatus(user) {
	return (await request(user, "GET", "v1/sync")).headers.get("x-sync-status");
}

// A fetch for clients that take one.  `status` is what the latest response said:
// null, "failed" or "conflict".
export function watchedFetch(fetch = globalThis.fetch) {
	const watched = async (...args) => {
		const response = await fetch(...args);
		watched.status = response.headers.get("x-sync-status");
		return response;
	};
	watched.status = null;
	return watched;
}

async function control(method, path, body) {
	const response = await fetch(HOLDFAST_FAULTS + path, { method, body });
	if (!response.ok)
		throw new Error(`the fault proxy refused ${method} ${path}`);
}

// Each instead of what was before.
export const store = {
	fails: () => control("POST", "/rules", '[{"action":"status","status":503}]'),
	slows: (ms) => control("POST", "/rules", `[{"action":"delay","before_ms":${ms}}]`),
	heals: () => control("DELETE", "/rules"),
};

// Waits for a condition; what it gave is returned.
export async function until(what, condition, seconds = 10) {
	const end = Date.now() + seconds * 1000;
	for (;;) {
		const result = await condition();
		if (result)
			return result;
		if (Date.now() > end)
			throw new Error(`waited ${seconds} s in vain until ${what}`);
		await pause(20);
	}
}

// The store goes away in the middle of what an app does, `write`s are accepted
// all the same and told with `failed`, and it comes back.  `write(i)` is done
// again and again, `status()` says what the app has been told.
export async function outage({ write, status }) {
	let written = 0;

	await store.fails();
	try {
		await until("a response says failed", async () => {
			await write(written++);
			return (await status()) === "failed";
		});
		await write(written++);
		if ((await status()) !== "failed")
			throw new Error("the flag has gone while the store is away");
	} finally {
		await store.heals();
	}
	await until("the flag is gone", async () => {
		await write(written++);
		return (await status()) === null;
	});
	return written;
}
