// app/web/holdfast.js: which answers count, and in which order.  No server: answers
// are given by hand.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Holdfast, HoldfastError } from "../../../app/web/holdfast.js";

const url = "https://db.example/api";
const json = { "content-type": "application/json" };
const failed = { ...json, "x-sync-status": "failed" };
const conflict = { ...json, "x-sync-status": "conflict" };

const jwt = (user, more = {}) => {
	const encode = (object) => Buffer.from(JSON.stringify(object)).toString("base64url");
	return `${encode({ alg: "HS256" })}.${encode({ sub: user, ...more })}.c2ln`;
};
const bearer = (user, more) => ({ headers: { authorization: `Bearer ${jwt(user, more)}` } });

// A server whose answers are given by hand: `calls` are the requests that have come,
// each with `answer(headers, status, body)` and `breaks()`.
function server() {
	const calls = [];
	const fetch = (input, init) =>
		new Promise((resolve, reject) => {
			const request = new Request(input, init);
			calls.push({
				input,
				init,
				method: request.method,
				path: new URL(request.url).pathname,
				authorization: request.headers.get("authorization"),
				async answer(headers = json, status = 200, body = "{}") {
					resolve(new Response(status === 204 || status === 304 ? null : body, { status, headers }));
					await settled();
				},
				async breaks() {
					reject(new TypeError("fetch failed"));
					await settled();
				},
			});
		});
	return { calls, fetch };
}

// All that follows without time passing.
async function settled() {
	for (let i = 0; i < 20; i++)
		await null;
	await new Promise((resolve) => setImmediate(resolve));
}

async function pass(ms) {
	mock.timers.tick(ms);
	await settled();
}

// What a listener hears, as text.
function listen(holdfast) {
	const heard = [];

	for (const name of ["degraded", "conflict", "healed"])
		holdfast.addEventListener(name, ({ type, detail }) => heard.push(`${type} ${detail.status}`));
	return heard;
}

let calls, holdfast, heard, made;

function watch(options = {}) {
	const { calls: seen, fetch } = server();

	calls = seen;
	holdfast = new Holdfast({ url, token: jwt("alice"), fetch, ...options });
	made.push(holdfast);
	heard = listen(holdfast);
}

// A request of the app, as far as the server.
async function ask(path = "v1/execute", init = { method: "POST" }) {
	const before = calls.length;
	const result = holdfast.fetch(`${url}/${path}`, init);

	result.catch(() => {});
	await settled();
	assert.equal(calls.length, before + 1);
	return calls.at(-1);
}

async function tell(headers, status) {
	await (await ask()).answer(headers, status);
}

beforeEach(() => {
	mock.timers.enable({ apis: ["setTimeout", "Date"] });
	made = [];
	watch();
});

afterEach(() => {
	for (const one of made)
		one.close();
	mock.timers.reset();
	delete globalThis.document;
});

test("nothing is known before an answer has said something", async () => {
	assert.equal(holdfast.status, null);
	await tell(json);
	assert.equal(holdfast.status, "ok");
	assert.deepEqual(heard, []);
});

test("each change is told once, with when the trouble began", async () => {
	const details = [];

	for (const name of ["change", "degraded", "conflict", "healed"])
		holdfast.addEventListener(name, ({ type, detail }) => details.push([type, detail.status, detail.since]));
	await tell(json);
	const began = new Date();
	await tell(failed, 400);
	await tell(failed);
	assert.deepEqual(holdfast.since, began);
	await pass(500);
	await tell(conflict, 409);
	await tell(json);
	assert.equal(holdfast.since, null);
	assert.deepEqual(details, [
		["change", "ok", null],
		["change", "failed", began],
		["degraded", "failed", began],
		["change", "conflict", began],
		["conflict", "conflict", began],
		["change", "ok", began],
		["healed", "ok", began],
	]);
});

test("trouble that was there from the start is told, too", async () => {
	await tell(failed);
	assert.deepEqual(heard, ["degraded failed"]);
});

test("an answer that does not say how the user stands changes nothing", async () => {
	const told = async (before) => {
		assert.equal(holdfast.status, before);
		const silent = [
			["nginx's 413", "v1/execute", json, 413],
			["nginx's 429", "v1/execute", json, 429],
			["nginx's 500", "v1/execute", json, 500],
			["nginx's 503", "v1/execute", json, 503],
			["a wrong token", "v1/sync", json, 401],
			["nothing changed", "v1/sync", {}, 304],
			["a version probe", "v3", json, 200],
			["a health check", "healthz", json, 200],
			["a path that is not there", "v1/nonsense", json, 200],
			["a preflight", "v1/execute", {}, 204],
			["a portal's page", "v1/execute", { "content-type": "text/html" }, 200],
			["a status of some day", "v1/execute", { ...json, "x-sync-status": "odd" }, 200],
		];
		for (const [what, path, headers, status] of silent) {
			await (await ask(path)).answer(headers, status);
			assert.equal(holdfast.status, before, what);
		}
		await (await ask()).breaks();
		assert.equal(holdfast.status, before);
	};

	await told(null);
	await tell(failed);
	await told("failed");
	await tell(json);
	await told("ok");
});

test("errors that do say it count", async () => {
	for (const status of [400, 404, 405, 409, 413, 503, 507]) {
		await (await ask("no/such/path")).answer(failed, status);
		assert.equal(holdfast.status, "failed");
		await tell(json);
	}
});

test("an opaque answer, and one that was redirected elsewhere, say nothing", async () => {
	for (const odd of [
		{ type: "opaque", status: 0, ok: false, url: "", headers: new Headers() },
		{ type: "cors", status: 200, ok: true, url: "https://login.example/v1/execute", headers: new Headers(json) },
		{ type: "cors", status: 200, ok: true, url: "https://db.example/other/v1/sync", headers: new Headers(json) },
	]) {
		const other = new Holdfast({ url, token: jwt("alice"), fetch: async () => odd });
		await other.fetch(`${url}/v1/execute`);
		assert.equal(other.status, null);
	}
});

test("other places are passed on as they are, and not looked at", async () => {
	const places = [
		"https://other.example/api/v1/execute",
		"http://db.example/api/v1/execute",
		"https://db.example/v1/execute",
		"https://db.example/apiary/v1/execute",
		"https://db.example/api/../v1/execute",
	];
	for (const place of places) {
		const init = { method: "POST" };
		const result = holdfast.fetch(place, init);
		await settled();
		assert.equal(calls.at(-1).input, place);
		assert.equal(calls.at(-1).init, init);
		await calls.at(-1).answer(failed);
		assert.equal((await result).status, 200);
		assert.equal(holdfast.status, null);
	}
});

test("fetch is fetch: URLs, Requests, their headers, and the answer itself", async () => {
	const { fetch } = holdfast;
	for (const input of [`${url}/v1/execute`, new URL(`${url}/v1/execute`), new Request(`${url}/v1/execute`)]) {
		const result = fetch(input, { method: "POST", body: "x", headers: { "x-mine": "1" } });
		await settled();
		assert.equal(calls.at(-1).method, "POST");
		assert.equal(calls.at(-1).authorization, `Bearer ${jwt("alice")}`);
		assert.equal(new Headers(calls.at(-1).init.headers).get("x-mine"), "1");
		await calls.at(-1).answer(failed, 200, "the body");
		assert.equal(await (await result).text(), "the body");
		assert.equal(holdfast.status, "failed");
	}
	const own = fetch(new Request(`${url}/v1/execute`, bearer("alice", { again: 1 })));
	await settled();
	assert.equal(calls.at(-1).authorization, `Bearer ${jwt("alice", { again: 1 })}`);
	await Promise.all([assert.rejects(own, TypeError), calls.at(-1).breaks()]);
});

test("an old answer that comes after a newer one does not hide a failure", async () => {
	const old = await ask();
	await tell(failed);
	await old.answer(json);
	assert.equal(holdfast.status, "failed");
	await pass(100);
	assert.equal(calls.at(-1).path, "/api/v1/sync");
	await calls.at(-1).answer(failed);
	assert.equal(holdfast.status, "failed");
	assert.deepEqual(heard, ["degraded failed"]);
});

test("an old answer that comes after a newer one does not bring a failure back", async () => {
	await tell(failed);
	const old = await ask();
	await tell(json);
	await old.answer(failed);
	assert.equal(holdfast.status, "ok");
	await pass(100);
	await calls.at(-1).answer(json);
	assert.deepEqual(heard, ["degraded failed", "healed ok"]);
	const asked = calls.length;
	await pass(100_000);
	assert.equal(calls.length, asked);
});

test("when answers disagree that may be in either order, the server is asked", async () => {
	await tell(json);
	const one = await ask();
	const other = await ask();
	await one.answer(json);
	await other.answer(failed);
	assert.equal(holdfast.status, "ok");
	await pass(100);
	assert.equal(calls.at(-1).path, "/api/v1/sync");
	await calls.at(-1).breaks();
	await untilAsked();
	await calls.at(-1).answer(failed);
	assert.deepEqual(heard, ["degraded failed"]);
});

test("a request that went out later settles what the server would have been asked", async () => {
	await tell(json);
	const one = await ask();
	const other = await ask();
	await one.answer(json);
	await other.answer(failed);
	await tell(failed);
	assert.equal(holdfast.status, "failed");
});

test("a push asked for that succeeds beside an answer that says failed ends well", async () => {
	await tell(failed);
	const result = holdfast.retry();
	await settled();
	const push = calls.at(-1);
	await tell(failed);
	await push.answer(json, 200, '{"status":"ok"}');
	assert.equal(await result, true);
	await settled();
	await pass(100);
	await calls.at(-1).answer(json, 200, '{"status":"ok"}');
	assert.deepEqual(heard, ["degraded failed", "healed ok"]);
});

test("another user's answers are not ours, a new token of ours is", async () => {
	await (await ask("v1/execute", bearer("bob"))).answer(failed);
	assert.equal(holdfast.status, null);
	await (await ask("v1/execute", bearer("alice", { exp: 1 }))).answer(failed);
	assert.equal(holdfast.status, "failed");
	holdfast.token = jwt("alice", { exp: 2 });
	assert.equal(holdfast.status, "failed");
	await (await ask("v1/execute", bearer("bob"))).answer(json);
	assert.equal(holdfast.status, "failed");
});

test("with another user nothing is known, and late answers do not change that", async () => {
	await tell(failed);
	const late = await ask();
	const changes = [];
	holdfast.addEventListener("change", ({ detail }) => changes.push(detail.status));
	holdfast.token = jwt("bob");
	assert.equal(holdfast.status, null);
	assert.equal(holdfast.since, null);
	await late.answer(failed);
	assert.deepEqual(changes, [null]);
	await tell(json);
	assert.deepEqual(changes, [null, "ok"]);
	assert.deepEqual(heard, ["degraded failed"]);
	holdfast.token = jwt("alice");
	holdfast.token = jwt("bob");
	assert.equal(holdfast.status, null);
});

test("after a sign-out a late answer says nothing of whoever comes next", async () => {
	await tell(failed);
	const late = await ask();
	holdfast.token = null;
	await late.answer(failed);
	assert.equal(holdfast.status, null);
	await (await ask("v1/execute", bearer("bob"))).answer(json);
	assert.equal(holdfast.status, "ok");
});

test("a token that was being fetched for another user is not used", async () => {
	let give;
	watch({ token: () => new Promise((resolve) => (give = resolve)) });
	holdfast.fetch(`${url}/v1/execute`).catch(() => {});
	await settled();
	assert.equal(calls.length, 0);
	holdfast.token = jwt("bob");
	give(jwt("alice"));
	await settled();
	assert.equal(calls[0].authorization, `Bearer ${jwt("bob")}`);
	await calls[0].answer(failed);
	assert.equal(holdfast.status, "failed");
});

test("a function gives the token for each request, and goes nowhere else", async () => {
	let user = "alice";
	watch({ token: async () => jwt(user) });
	await (await ask("v1/execute", bearer("bob"))).answer(failed);
	assert.equal(holdfast.status, null);
	await tell(failed);
	assert.equal(calls.at(-1).authorization, `Bearer ${jwt("alice")}`);
	user = "bob";
	const next = await ask();
	assert.equal(holdfast.status, null);
	assert.equal(next.authorization, `Bearer ${jwt("bob")}`);
	await next.answer(conflict);
	assert.equal(holdfast.status, "conflict");
	holdfast.fetch("https://other.example/api/v1/sync").catch(() => {});
	await settled();
	assert.equal(calls.at(-1).authorization, null);
	await calls.at(-1).breaks();
});

test("without a token the first answer that says something decides whose it is", async () => {
	watch({ token: undefined });
	await (await ask("v3", {})).answer(json);
	await (await ask("v1/execute", bearer("mallory"))).answer(json, 401);
	await (await ask("v1/execute", bearer("alice"))).answer(failed);
	await (await ask("v1/execute", bearer("bob"))).answer(json);
	await (await ask("v1/execute", {})).answer(json);
	assert.equal(holdfast.status, "failed");
	await pass(2500);
	assert.equal(calls.at(-1).authorization, `Bearer ${jwt("alice")}`);
	await calls.at(-1).answer(json);
	assert.equal(holdfast.status, "ok");
});

test("a push asked for says what the server says", async () => {
	const answers = [
		[json, 200, { status: "ok" }, true],
		[failed, 503, { code: "SYNC_FAILED", message: "1 commits" }, false],
		[conflict, 409, { code: "SYNC_CONFLICT", message: "another host" }, false],
	];
	for (const [headers, status, body, stored] of answers) {
		const results = [holdfast.retry(), holdfast.retry()];
		await settled();
		assert.equal(calls.at(-1).method, "POST");
		await calls.at(-1).answer(headers, status, JSON.stringify(body));
		assert.deepEqual(await Promise.all(results), [stored, stored]);
	}
	assert.equal(calls.length, answers.length);
	const busy = holdfast.retry();
	await settled();
	await Promise.all([
		assert.rejects(busy, (error) => error instanceof HoldfastError && error.status === 429 && error.code === "BUSY"),
		calls.at(-1).answer(json, 429, '{"code":"BUSY","message":"busy"}'),
	]);
	const broken = holdfast.retry();
	await settled();
	await Promise.all([assert.rejects(broken, TypeError), calls.at(-1).breaks()]);
	assert.equal(holdfast.status, "conflict");
});

test("the detail is the server's, and what it says counts where the header is hidden", async () => {
	const result = holdfast.detail();
	await settled();
	await calls.at(-1).answer(json, 200, '{"status":"failed","last_error":"timeout"}');
	assert.deepEqual(await result, { status: "failed", last_error: "timeout" });
	assert.equal(holdfast.status, "failed");
	assert.equal(holdfast.lastError, "timeout");
	const page = holdfast.detail();
	await settled();
	await Promise.all([assert.rejects(page, { status: 502, code: null }), calls.at(-1).answer({}, 502, "<html>")]);
});

// How long it takes until the next question, which is left open.
async function untilAsked(limit = 60_000) {
	const before = calls.length;

	for (let ms = 0; ms < limit; ms += 50) {
		if (calls.length > before)
			return ms;
		await pass(50);
	}
	return Infinity;
}

test("while there is trouble the server is asked, less and less often", async () => {
	await tell(json);
	assert.equal(await untilAsked(), Infinity);
	await tell(failed);
	const pauses = [];
	for (let i = 0; i < 8; i++) {
		pauses.push(await untilAsked());
		assert.equal(calls.at(-1).method, "GET");
		assert.equal(calls.at(-1).path, "/api/v1/sync");
		await (i % 2 === 0 ? calls.at(-1).breaks() : calls.at(-1).answer(failed));
	}
	for (const [i, base] of [2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000].entries())
		assert.ok(pauses[i] >= base * 0.7 && pauses[i] <= base * 1.3, `${pauses}`);
	await untilAsked();
	await calls.at(-1).answer(json);
	assert.deepEqual(heard, ["degraded failed", "healed ok"]);
	assert.equal(await untilAsked(), Infinity);
	await tell(failed);
	assert.ok((await untilAsked()) <= 2600);
	await calls.at(-1).answer(json);
});

test("an app that asks often enough is enough", async () => {
	await tell(failed);
	for (let i = 0; i < 20; i++) {
		await pass(1000);
		await tell(failed);
	}
	assert.equal(calls.length, 21);
});

test("nothing is asked after close(), with poll: false, or while a push is asked for", async () => {
	await tell(failed);
	const result = holdfast.retry();
	await settled();
	assert.equal(await untilAsked(), Infinity);
	await calls.at(-1).answer(failed, 503, '{"code":"SYNC_FAILED"}');
	assert.equal(await result, false);
	holdfast.close();
	assert.equal(await untilAsked(), Infinity);
	await tell(json);
	assert.equal(holdfast.status, "ok");
	watch({ poll: false });
	await tell(failed);
	assert.equal(await untilAsked(), Infinity);
});

test("a page that nobody sees asks nothing, and asks at once when it is seen", async () => {
	globalThis.document = Object.assign(new EventTarget(), { hidden: true });
	watch();
	await tell(failed);
	assert.equal(await untilAsked(), Infinity);
	document.hidden = false;
	document.dispatchEvent(new Event("visibilitychange"));
	assert.ok((await untilAsked()) <= 150);
	await calls.at(-1).answer(json);
	assert.equal(holdfast.status, "ok");
	document.dispatchEvent(new Event("visibilitychange"));
	assert.equal(await untilAsked(), Infinity);
	await tell(failed);
	assert.ok((await untilAsked()) > 1000);
	await calls.at(-1).answer(json);
});

test("an instance is found by its id, before and after it is made", () => {
	const found = [];
	const stop = new AbortController();

	Holdfast.watch("db", (one) => found.push(one), { signal: stop.signal });
	watch({ id: "db" });
	const first = holdfast;
	Holdfast.watch("db", (one) => found.push(one), { signal: stop.signal });
	assert.deepEqual(found, [first, first]);
	watch({ id: "db" });
	assert.deepEqual(found.slice(2), [holdfast, holdfast]);
	stop.abort();
	watch({ id: "db" });
	assert.equal(found.length, 4);
});
