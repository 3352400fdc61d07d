// The proxy that all fault scenarios rest on does what its rules say, with the
// local R2 behind it.  node --test fault-proxy.test.mjs

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { sign } from "./s3.mjs";

const dir = mkdtempSync(join(tmpdir(), "holdfast-proxy-"));
const children = [];
let store, endpoint, proxy_port, control_port;

async function startTool(name, ...args) {
	const child = spawn(process.execPath, [fileURLToPath(new URL(name, import.meta.url)), ...args],
		{ stdio: ["ignore", "pipe", "inherit"] });

	children.push(child);
	for await (const text of child.stdout) {
		const [word, ...rest] = text.toString().trim().split(" ");
		assert.equal(word, "ready");
		return rest;
	}
	throw new Error(`${name} did not start`);
}

before(async () => {
	[store] = await startTool("r2.mjs", dir);
	[proxy_port, control_port] = await startTool("fault-proxy.mjs", new URL(store).port);
	endpoint = store.replace(/:\d+/, `:${proxy_port}`);
});

after(() => {
	for (const child of children)
		child.kill();
	rmSync(dir, { recursive: true, force: true });
});

afterEach(async () => {
	await control("DELETE", "/rules");
	await control("DELETE", "/log");
});

async function control(method, path, body) {
	const response = await fetch(`http://127.0.0.1:${control_port}${path}`,
		{ method, body: body && JSON.stringify(body) });
	const text = await response.text();

	assert.equal(response.status, 200, text);
	return JSON.parse(text);
}

const rule = (...rules) => control("POST", "/rules", rules);
const log = () => control("GET", "/log");

// One request on a connection of its own: { status, body } or { error }.
function call(at, method, key, { body, timeout = 1500, agent = false } = {}) {
	const { url, headers } = sign(at, method, key, { body });

	return new Promise((resolve) => {
		const request = http.request(url, { method, headers, agent }, (response) => {
			const pieces = [];

			response.on("data", (piece) => pieces.push(piece));
			response.on("end", () => resolve({
				status: response.statusCode,
				headers: response.headers,
				body: Buffer.concat(pieces),
			}));
			response.on("error", (error) => resolve({ error: error.code, head: response.statusCode }));
		});

		request.setTimeout(timeout, () => {
			request.destroy(Object.assign(new Error("silent"), { code: "SILENT" }));
		});
		request.on("error", (error) => resolve({ error: error.code }));
		request.end(body);
	});
}

const put = (key, body = "x", options = {}) => call(endpoint, "PUT", key, { body, ...options });
const get = (key, options) => call(endpoint, "GET", key, options);
const stored = async (key) => {
	const { status, body } = await call(store, "GET", key);
	return status === 200 ? body.toString() : null;
};

async function until(condition) {
	const end = Date.now() + 10000;

	while (!await condition()) {
		assert.ok(Date.now() < end, "waited in vain");
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}

const object = (user, n = 1) => {
	const txid = n.toString(16).padStart(16, "0");
	return `u/${user}/0000/${txid}-${txid}.ltx`;
};

test("without rules requests pass and are logged", async () => {
	assert.equal((await put(object("plain"), "hello")).status, 200);
	const answer = await get(object("plain"));
	assert.equal(answer.status, 200);
	assert.equal(answer.body.toString(), "hello");
	assert.equal((await call(endpoint, "HEAD", object("plain"))).status, 200);
	assert.equal((await get(object("nobody"))).status, 404);

	const { requests, in_flight_max } = await log();
	assert.deepEqual(requests.map((r) => [r.method, r.store_status, r.status, r.body_bytes]),
		[["PUT", 200, 200, 5], ["GET", 200, 200, 0], ["HEAD", 200, 200, 0], ["GET", 404, 404, 0]]);
	assert.ok(requests.every((r) => r.end >= r.start));
	assert.equal(in_flight_max.plain, 1);
});

test("a large object passes both ways", async () => {
	const body = Buffer.alloc(3_000_000, "0123456789");

	assert.equal((await put(object("large"), body, { timeout: 10000 })).status, 200);
	assert.deepEqual((await get(object("large"), { timeout: 10000 })).body, body);
});

test("one connection serves several requests", async () => {
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

	for (let n = 1; n < 4; n++)
		assert.equal((await put(object("kept", n), "x", { agent })).status, 200);
	agent.destroy();
	assert.equal((await log()).requests.length, 3);
});

test("rules match method and path, in order, as often as they say", async () => {
	await rule({ action: "status", status: 503, method: "PUT", path: "/a/", times: 2, retry_after: 7 },
		{ action: "status", status: 500, path: "/a/" });
	const answer = await put(object("a"));
	assert.equal(answer.status, 503);
	assert.equal(answer.headers["retry-after"], "7");
	assert.match(answer.body.toString(), /<Code>SlowDown</);
	assert.equal((await get(object("a"))).status, 500);
	assert.equal((await put(object("b"))).status, 200);
	assert.equal((await put(object("a"))).status, 503);
	assert.equal((await put(object("a"))).status, 500);
	assert.equal(await stored(object("a")), null);
	assert.equal(await control("GET", "/count?method=PUT&path=/a/"), 3);
});

test("a wrong rule is refused", async () => {
	for (const wrong of [{ action: "explode" }, { action: "status" }, { action: "late", tmes: 1 },
		{ action: "refuse", times: 1 }, { action: "pass" }, { action: "throttle" }])
		await assert.rejects(rule(wrong), JSON.stringify(wrong));
});

test("refuse refuses connections, resets what is open, and ends", async () => {
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

	await rule({ action: "delay", before_ms: 5000, method: "PUT" });
	const open = put(object("open"), "x", { agent, timeout: 4000 });
	await until(async () => await control("GET", "/count?method=PUT&open=1") === 1);
	await rule({ action: "refuse" });
	assert.equal((await open).error, "ECONNRESET");
	assert.equal((await put(object("c"))).error, "ECONNREFUSED");
	await rule();
	assert.equal((await put(object("c"))).status, 200);
});

test("unreachable makes connects hang and established connections silent", async () => {
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	const connects = (ms) => new Promise((resolve) => {
		const socket = net.connect(proxy_port, "127.0.0.1");
		const end = (result) => { socket.destroy(); resolve(result); };

		socket.on("connect", () => end(true)).on("error", () => end("error"));
		setTimeout(() => end(false), ms);
	});

	assert.equal((await put(object("d"), "x", { agent })).status, 200);
	await rule({ action: "unreachable" });
	assert.equal(await connects(500), false);
	assert.equal((await put(object("d", 2), "x", { agent, timeout: 500 })).error, "SILENT");
	await rule();
	assert.equal(await connects(500), true);
	assert.equal((await put(object("d", 2))).status, 200);
});

test("silent accepts and never answers; reset accepts and resets", async () => {
	await rule({ action: "silent" });
	assert.equal((await put(object("e"), "x", { timeout: 300 })).error, "SILENT");
	await rule({ action: "reset" });
	assert.equal((await put(object("e"))).error, "ECONNRESET");
	await rule({ action: "silent", method: "PUT" });
	assert.equal((await get(object("e"))).status, 404);
	assert.equal((await put(object("e"), "x", { timeout: 300 })).error, "SILENT");
	assert.deepEqual((await log()).requests.map(({ method }) => method), ["GET", "PUT"]);
});

test("a PUT is under way until its client has gone, be it behind unread bytes", async () => {
	const body = Buffer.alloc(8_000_000);

	await rule({ action: "silent", method: "PUT" });
	assert.equal((await put(object("f"), body, { timeout: 300 })).error, "SILENT");
	await until(async () => await control("GET", "/count?open=1") === 0);
	await rule({ action: "delay", method: "PUT", after_ms: 300 });
	assert.deepEqual((await Promise.all([put(object("f")), put(object("g")), put(object("g", 2))]))
		.map(({ status }) => status), [200, 200, 200]);
	const { in_flight_max } = await log();
	assert.equal(in_flight_max.f, 1);
	assert.equal(in_flight_max.g, 2);
	assert.equal(in_flight_max["*"], 3);
});

const not_stored = [
	[{ action: "read-then-silent" }, "SILENT"],
	[{ action: "cut-request", after: 1000 }, "ECONNRESET"],
	[{ action: "cut-request", after: 1000, how: "silence" }, "SILENT"],
	[{ action: "reset-after-body" }, "ECONNRESET"],
	[{ action: "garbage" }, "HPE_INVALID_CONSTANT"],
];
const stored_all_the_same = [
	[{ action: "lose-answer" }, "ECONNRESET"],
	[{ action: "lose-answer", how: "close" }, "ECONNRESET"],
	[{ action: "lose-answer", how: "half-status" }, undefined],
	[{ action: "lose-answer", how: "silence" }, "SILENT"],
];

test("faults before the store leave nothing stored", async () => {
	for (const [n, [fault, error]] of not_stored.entries()) {
		await rule({ ...fault, method: "PUT", times: 1 });
		const answer = await put(object("h", n + 1), Buffer.alloc(200_000), { timeout: 500 });
		assert.equal(answer.error, error, JSON.stringify(fault));
		assert.equal(await stored(object("h", n + 1)), null, JSON.stringify(fault));
	}
});

test("a lost answer leaves the object stored", async () => {
	for (const [n, [fault, error]] of stored_all_the_same.entries()) {
		await rule({ ...fault, method: "PUT", times: 1 });
		const answer = await put(object("i", n + 1), "kept", { timeout: 500 });
		assert.equal(answer.status, undefined, JSON.stringify(fault));
		assert.ok(error === undefined || answer.error === error, answer.error);
		assert.equal(await stored(object("i", n + 1)), "kept", JSON.stringify(fault));
	}
	await rule({ action: "status-though-stored", status: 500, times: 1 });
	assert.equal((await put(object("i", 9), "kept")).status, 500);
	assert.equal(await stored(object("i", 9)), "kept");
});

test("late resets now and stores afterwards", async () => {
	await rule({ action: "late", ms: 300, method: "PUT", times: 1 });
	assert.equal((await put(object("j"), "late")).error, "ECONNRESET");
	assert.equal((await get(object("j"))).status, 404);
	await until(async () => await stored(object("j")) === "late");
});

test("delay and throttle take their time", async () => {
	const started = Date.now();

	await rule({ action: "delay", before_ms: 150, after_ms: 150, times: 1 });
	assert.equal((await put(object("k"))).status, 200);
	assert.ok(Date.now() - started >= 290);
	await rule({ action: "throttle", bytes_per_s: 40_000, times: 1 });
	assert.equal((await put(object("k", 2), Buffer.alloc(20_000))).status, 200);
	assert.ok(Date.now() - started >= 290 + 480);
	await rule({ action: "throttle-answer", bytes_per_s: 40_000, times: 1 });
	assert.equal((await get(object("k", 2))).body.length, 20_000);
	assert.ok(Date.now() - started >= 290 + 480 + 480);
});

test("an answer can be cut, stalled or changed", async () => {
	const body = Buffer.alloc(50_000, "abcdefg");

	assert.equal((await put(object("l"), body)).status, 200);
	for (const [how, error] of [["reset", "ECONNRESET"], ["close", "ECONNRESET"], ["silence", "SILENT"]]) {
		await rule({ action: "cut-answer", after: 700, how, times: 1 });
		const answer = await get(object("l"), { timeout: 500 });
		assert.equal(answer.error, error, how);
		assert.equal((await log()).requests.at(-1).answer_bytes, 700);
	}
	await rule({ action: "corrupt-answer", method: "GET", times: 1 });
	const answer = await get(object("l"));
	assert.equal(answer.body.length, body.length);
	assert.equal(answer.body.filter((byte, at) => byte !== body[at]).length, 1);
});

test("a request can arrive twice", async () => {
	await rule({ action: "duplicate", method: "PUT", times: 1 });
	assert.equal((await put(object("m"), "twice")).status, 200);
	assert.equal(await stored(object("m")), "twice");
});
