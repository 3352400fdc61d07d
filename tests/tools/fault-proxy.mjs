// A proxy between the program and its object store that misbehaves on demand.
//
//	node fault-proxy.mjs STORE_PORT
//
// Listens on loopback, prints "ready <port> <control port>", forwards bytes as
// they are (Host too, which the signature covers), and ends with whoever
// started it.
//
//	POST   /rules	a rule is appended, an array of rules replaces all
//	DELETE /rules	back to normal
//	GET    /log	every request seen, and how many PUTs were under way at once
//	GET    /count	?method=&path=&open=1: how many requests match
//	DELETE /log
//
// A rule is { action, method?, path?, times?, ... }.  `path` is a regular
// expression on the decoded path; without `times` the rule holds until it is
// deleted.  The first rule that matches acts; what no rule matches is passed on.
//
// These are about the whole store, established connections included:
//
//	refuse		nobody listens; connections are reset
//	unreachable	a connect hangs; connections fall silent
//	reset		accepted and reset
//	silent		accepted, nothing read (with method or path: the head is read)
//
// and these about one request:
//
//	read-then-silent	read whole, never answered, not passed on
//	cut-request	passed on up to `after` bytes of the body, then `how`
//	reset-after-body	read whole, reset, not passed on
//	status		read whole and answered `status` [, `code`, `retry_after`, `body`,
//			`content_type`], not passed on
//	garbage		read whole, answered with what is not HTTP
//	delay		passed on after `before_ms`, its answer held back `after_ms`
//	throttle	body passed on at `bytes_per_s`
//	throttle-answer
//	lose-answer	passed on, and its answer dropped: `how`
//	late		reset, and passed on `ms` later
//	duplicate	passed on twice, one after the other; the second answer counts
//	status-though-stored	passed on, and answered `status` instead
//	cut-answer	`after` bytes of the answer's body, then `how`
//	corrupt-answer	one byte in the middle of the body is changed
//
// `how` is reset (the default), close, silence, or half-status (lose-answer only).

import http from "node:http";
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { followParent } from "./follow-parent.mjs";
import { Gone, Wire, parseAnswer, parseRequest } from "./wire.mjs";

const store_port = Number(process.argv[2]);
if (!(store_port > 0)) {
	console.error("usage: fault-proxy.mjs STORE_PORT");
	process.exit(2);
}

// ---- what was seen

let requests = [];
let seq = 0;
let in_flight = new Map();
let in_flight_max = new Map();

// The user of an object's key; everything else counts only under "*".
const owner = (path) => path.match(/([^/]+)\/[0-9]{4}\/[0-9a-f]{16}-[0-9a-f]{16}\.ltx$/)?.[1];

function count(entry, step) {
	if (entry.method !== "PUT")
		return;
	for (const name of [owner(entry.path), "*"]) {
		if (name === undefined)
			continue;
		const now = (in_flight.get(name) ?? 0) + step;
		in_flight.set(name, now);
		in_flight_max.set(name, Math.max(now, in_flight_max.get(name) ?? 0));
	}
}

function requestBegin({ method, path, query }) {
	const entry = {
		seq: ++seq, method, path, query,
		start: Date.now(), end: null,
		body_bytes: 0, answer_bytes: 0,
		store_status: null, status: null, action: null,
	};

	requests.push(entry);
	count(entry, +1);
	return entry;
}

// It has ended when the answer is out or the client has gone, whichever is first.
function requestEnd(entry) {
	if (entry.end !== null)
		return;
	entry.end = Date.now();
	count(entry, -1);
}

// What is under way stays counted: it ends later, against the new log.
function clearLog() {
	requests = requests.filter((entry) => entry.end === null);
	in_flight_max = new Map(in_flight);
}

// ---- how a request is passed on

async function connectStore() {
	const socket = net.connect(store_port, "127.0.0.1");
	const wire = new Wire(socket);

	await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), wire.whenClosed]);
	if (wire.closed)
		throw new Gone();
	return wire;
}

async function* wholeBody(x) {
	for await (const piece of x.client.body(x.request.framing)) {
		x.entry.body_bytes += piece.payload ? piece.bytes.length : 0;
		yield piece.bytes;
	}
}

async function readBody(x) {
	const pieces = [];

	for await (const bytes of wholeBody(x))
		pieces.push(bytes);
	return pieces;
}

// Sends the request to the store and returns its answer, head read.  Once the
// request is there whole, the store does its work whether or not the client
// waits for it.
async function forward(x, body = wholeBody(x)) {
	const store = await connectStore();

	try {
		await store.write(x.head);
		for await (const bytes of body)
			await store.write(bytes);
		let head;
		let answer;
		do {
			head = await store.head();
			if (head === null)
				throw new Gone();
			answer = parseAnswer(head, x.request.method);
		} while (answer.status < 200);
		x.entry.store_status = answer.status;
		return { store, head, ...answer };
	} catch (problem) {
		store.reset();
		throw problem;
	}
}

async function discard(x, answer) {
	for await (const _ of answer.store.body(answer.framing))
		;
	answer.store.close();
}

async function giveAnswer(x, answer, { most = Infinity, before = async () => {} } = {}) {
	x.entry.status = answer.status;
	await x.client.write(answer.head);
	for await (const piece of answer.store.body(answer.framing, most)) {
		await before(piece);
		await x.client.write(piece.bytes);
		x.entry.answer_bytes += piece.payload ? piece.bytes.length : 0;
	}
	answer.store.close();
	x.lasting = x.request.lasting && answer.lasting && answer.framing !== "close";
}

async function giveStatus(x, rule) {
	const code = rule.code ?? { 403: "AccessDenied", 404: "NoSuchKey", 429: "TooManyRequests",
		500: "InternalError", 503: "SlowDown" }[rule.status] ?? "Injected";
	const body = rule.body ?? `<?xml version="1.0" encoding="UTF-8"?>` +
		`<Error><Code>${code}</Code><Message>injected</Message></Error>`;
	const retry = rule.retry_after === undefined ? "" : `Retry-After: ${rule.retry_after}\r\n`;

	x.entry.status = rule.status;
	await x.client.write(`HTTP/1.1 ${rule.status} Injected\r\n` +
		`Content-Type: ${rule.content_type ?? "application/xml"}\r\n` +
		`Content-Length: ${Buffer.byteLength(body)}\r\n${retry}\r\n` +
		(x.request.method === "HEAD" ? "" : body));
	x.lasting = x.request.lasting;
}

const breaks = {
	async reset(x) { x.client.reset(); },
	async close(x) { x.client.close(); },
	async silence(x) { await x.client.peerGone(); },
	async "half-status"(x) {
		await x.client.write("HTTP/1.1 20");
		x.client.close();
	},
};
const breakOff = (x, rule) => breaks[rule.how ?? "reset"](x);

function paced(bytes_per_s) {
	const most = Math.max(1, Math.round(bytes_per_s / 20));
	const began = Date.now();
	let passed = 0;

	// By the clock from the start, so that late timers do not add up.
	async function before({ bytes }) {
		passed += bytes.length;
		await pause(Math.max(0, began + passed * 1000 / bytes_per_s - Date.now()));
	}
	return { most, before };
}

const actions = {
	async pass(x) {
		await giveAnswer(x, await forward(x));
	},
	async silent(x) {
		await x.client.peerGone();
	},
	async "read-then-silent"(x) {
		await readBody(x);
		await x.client.peerGone();
	},
	async "cut-request"(x, rule) {
		const store = await connectStore();
		let left = rule.after ?? 0;

		await store.write(x.head);
		while (left > 0) {
			const bytes = await x.client.more(left);
			if (bytes === null)
				break;
			left -= bytes.length;
			x.entry.body_bytes += bytes.length;
			await store.write(bytes);
		}
		await breakOff(x, rule);
		store.reset();
	},
	async "reset-after-body"(x) {
		await readBody(x);
		x.client.reset();
	},
	async status(x, rule) {
		await readBody(x);
		await giveStatus(x, rule);
	},
	async garbage(x) {
		await readBody(x);
		await x.client.write("\x16\x03\x01\x00\x02\x02\x28 this is not HTTP\n");
		x.client.close();
	},
	async delay(x, rule) {
		const body = await readBody(x);

		await pause(rule.before_ms ?? 0);
		const answer = await forward(x, body);
		await pause(rule.after_ms ?? 0);
		await giveAnswer(x, answer);
	},
	async throttle(x, rule) {
		const { most, before } = paced(rule.bytes_per_s);

		async function* body() {
			for await (const piece of x.client.body(x.request.framing, most)) {
				await before(piece);
				x.entry.body_bytes += piece.payload ? piece.bytes.length : 0;
				yield piece.bytes;
			}
		}
		await giveAnswer(x, await forward(x, body()));
	},
	async "throttle-answer"(x, rule) {
		await giveAnswer(x, await forward(x), paced(rule.bytes_per_s));
	},
	async "lose-answer"(x, rule) {
		await discard(x, await forward(x));
		await breakOff(x, rule);
	},
	async late(x, rule) {
		const body = await readBody(x);

		x.client.reset();
		await pause(rule.ms ?? 2500);
		await discard(x, await forward(x, body));
	},
	async duplicate(x) {
		const body = await readBody(x);

		await discard(x, await forward(x, body));
		await giveAnswer(x, await forward(x, body));
	},
	async "status-though-stored"(x, rule) {
		await discard(x, await forward(x));
		await giveStatus(x, rule);
	},
	async "cut-answer"(x, rule) {
		const answer = await forward(x);
		let left = rule.after ?? 0;

		x.entry.status = answer.status;
		await x.client.write(answer.head);
		for await (const { bytes, payload } of answer.store.body(answer.framing)) {
			const part = payload ? bytes.subarray(0, left) : bytes;

			await x.client.write(part);
			if (!payload)
				continue;
			left -= part.length;
			x.entry.answer_bytes += part.length;
			if (left === 0)
				break;
		}
		answer.store.reset();
		await breakOff(x, rule);
	},
	async "corrupt-answer"(x) {
		const answer = await forward(x);
		const pieces = [];

		for await (const piece of answer.store.body(answer.framing))
			pieces.push({ ...piece, bytes: Buffer.from(piece.bytes) });
		const payload = pieces.filter((piece) => piece.payload);
		let at = payload.reduce((sum, { bytes }) => sum + bytes.length, 0) >> 1;
		for (const { bytes } of payload) {
			if (at < bytes.length) {
				bytes[at] ^= 0x55;
				break;
			}
			at -= bytes.length;
		}
		x.entry.status = answer.status;
		await x.client.write(answer.head);
		for (const { bytes } of pieces)
			await x.client.write(bytes);
		answer.store.close();
		x.lasting = x.request.lasting && answer.framing !== "close";
	},
};

// ---- which rule acts

const whole_store = ["refuse", "unreachable", "reset"];
const fields = ["action", "method", "path", "times", "how", "after", "status", "code", "retry_after",
	"body", "content_type", "before_ms", "after_ms", "ms", "bytes_per_s"];
let rules = [];

const isWholeStore = (rule) => whole_store.includes(rule.action) ||
	(rule.action === "silent" && rule.method === undefined && rule.path === undefined);

function checkRule(rule) {
	const unknown = Object.keys(rule).find((name) => !fields.includes(name));

	if (unknown !== undefined)
		throw new Error(`unknown field ${unknown}`);
	if (rule.action === "pass" || !(isWholeStore(rule) || Object.hasOwn(actions, rule.action)))
		throw new Error(`unknown action ${rule.action}`);
	if (isWholeStore(rule) && (rule.times ?? rule.method ?? rule.path) !== undefined)
		throw new Error(`${rule.action} is about the whole store`);
	if (rule.how !== undefined && !Object.hasOwn(breaks, rule.how))
		throw new Error(`unknown how ${rule.how}`);
	if (rule.action.startsWith("status") && !(rule.status >= 200 && rule.status < 600))
		throw new Error("status is missing");
	if (rule.action.startsWith("throttle") && !(rule.bytes_per_s > 0))
		throw new Error("bytes_per_s is missing");
	return { ...rule, pattern: new RegExp(rule.path ?? "") };
}

function takeRule(request) {
	const rule = rules.find((rule) => !isWholeStore(rule) && rule.times !== 0 &&
		(rule.method ?? request.method) === request.method && rule.pattern.test(request.path));

	if (rule?.times !== undefined)
		rule.times--;
	return rule ?? { action: "pass" };
}

// ---- the listening socket, and how it can be missing

const connections = new Set();
let weather = "normal";
let blocker = null;

async function exchange(client, head) {
	const request = parseRequest(head);
	const entry = requestBegin(request);
	const rule = takeRule(request);
	const x = { client, head, request, entry, lasting: false };

	entry.action = rule.action;
	client.peerGone(() => entry.end !== null).then(() => requestEnd(entry));
	try {
		await actions[rule.action](x, rule);
	} catch (problem) {
		if (!(problem instanceof Gone))
			throw problem;
		client.reset();
	} finally {
		requestEnd(entry);
	}
	return x.lasting;
}

async function serve(socket) {
	const client = new Wire(socket);

	connections.add(client);
	try {
		if (weather === "reset")
			return client.reset();
		if (weather === "silent")
			client.freeze();
		for (let head; (head = await client.head()) !== null;)
			if (!await exchange(client, head))
				break;
		client.close();
	} catch (problem) {
		client.reset();
		if (!(problem instanceof Gone))
			throw problem;
	} finally {
		connections.delete(client);
	}
}

const front = net.createServer({ allowHalfOpen: true }, serve);
let port;

// Below the range the kernel takes ports from, so that nobody gets ours while
// the store is to refuse connections.
async function listenFirst() {
	for (;;) {
		port = 20000 + Math.floor(Math.random() * 12000);
		try {
			return await listen();
		} catch (problem) {
			if (problem.code !== "EADDRINUSE")
				throw problem;
		}
	}
}

function listen() {
	return new Promise((resolve, reject) => {
		front.once("error", reject);
		front.listen(port, "127.0.0.1", 512, () => {
			front.off("error", reject);
			resolve();
		});
	});
}

// A listener whose thread sleeps never accepts; once its backlog is full the
// kernel drops what else comes, and connects hang.
const blocker_source = `
const { parentPort, workerData } = require("node:worker_threads");
const server = require("node:net").createServer((socket) => socket.destroy());
server.listen({ port: workerData.port, host: "127.0.0.1", backlog: 1 }, () => {
	parentPort.postMessage("listening");
	Atomics.wait(workerData.awake, 0, 0);
	server.close();
});`;

async function blockPort() {
	const awake = new Int32Array(new SharedArrayBuffer(4));
	const thread = new Worker(blocker_source, { eval: true, workerData: { port, awake } });

	await new Promise((resolve, reject) => thread.once("message", resolve).once("error", reject));
	blocker = { awake, fill: [], ended: new Promise((resolve) => thread.once("exit", resolve)) };
	for (let connected = true; connected;) {
		const socket = net.connect(port, "127.0.0.1");

		socket.on("error", () => {});
		blocker.fill.push(socket);
		connected = await Promise.race([
			new Promise((resolve) => socket.once("connect", () => resolve(true))),
			pause(200, false),
		]);
	}
}

async function unblockPort() {
	for (const socket of blocker.fill)
		socket.destroy();
	Atomics.store(blocker.awake, 0, 1);
	Atomics.notify(blocker.awake, 0);
	await blocker.ended;
	blocker = null;
}

async function changeWeather() {
	const wanted = rules.find(isWholeStore)?.action ?? "normal";

	if (wanted === weather)
		return;
	if (blocker)
		await unblockPort();
	weather = wanted;
	const listening = weather !== "refuse" && weather !== "unreachable";
	if (front.listening && !listening)
		front.close();
	for (const client of connections) {
		if (weather === "refuse" || weather === "reset")
			client.reset();
		else if (weather !== "normal")
			client.freeze();
	}
	if (weather === "unreachable")
		await blockPort();
	if (!front.listening && listening)
		await listen();
}

// ---- control

async function readJson(request) {
	let text = "";

	for await (const piece of request)
		text += piece;
	return JSON.parse(text);
}

function countRequests(query) {
	const method = query.get("method") || undefined;
	const path = new RegExp(query.get("path") ?? "");

	return requests.filter((entry) => (method ?? entry.method) === entry.method &&
		path.test(entry.path) && (!query.has("open") || entry.end === null)).length;
}

const commands = {
	async "POST /rules"(request) {
		const sent = await readJson(request);

		rules = Array.isArray(sent) ? sent.map(checkRule) : [...rules, checkRule(sent)];
		await changeWeather();
	},
	async "DELETE /rules"() {
		rules = [];
		await changeWeather();
	},
	async "GET /log"() {
		return { requests, in_flight_max: Object.fromEntries(in_flight_max) };
	},
	async "GET /count"(request, query) {
		return countRequests(query);
	},
	async "DELETE /log"() {
		clearLog();
	},
};

// One after the other: a change of weather takes several steps.
let turn = Promise.resolve();

const control = http.createServer((request, response) => {
	const url = new URL(request.url, "http://control");
	const command = commands[`${request.method} ${url.pathname}`];

	turn = turn.then(async () => {
		try {
			if (!command)
				throw new Error("no such command");
			const result = await command(request, url.searchParams);
			response.setHeader("Content-Type", "application/json");
			response.end(JSON.stringify(result ?? "ok") + "\n");
		} catch (problem) {
			response.statusCode = 400;
			response.end(`${problem.message}\n`);
		}
	});
});

followParent(() => process.exit(0));
for (const signal of ["SIGTERM", "SIGINT"])
	process.on(signal, () => process.exit(0));
await listenFirst();
control.listen(0, "127.0.0.1", () => console.log("ready", port, control.address().port));
