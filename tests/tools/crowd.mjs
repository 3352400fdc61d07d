// What some users' requests take while another user, or nobody in particular, makes a crowd.
//
//	crowd.mjs URL SECONDS ATTACK ATTACKERS_TOKEN TOKEN...
//
// The other tokens' users write and read at a steady pace into table note(text), which
// is there.  Meanwhile ATTACK is
//
//	none
//	idle		2,000 connections that say nothing
//	headers		200 requests whose headers come a byte a second
//	bodies		200 requests whose bodies do
//	large		8 requests at a time, each with a body of almost 4 MiB
//	tiny		100 requests at a time with no body at all
//	reads, writes	100 requests at a time
//	long		100 requests at a time that run to the limit of a statement
//
// The attack has a thread of its own, with a low priority: elsewhere it would not take the
// program's processors.
//
// Prints one line of JSON: how many answers others got, the percentiles of their times in
// ms, how many were no 200; and the statuses that the attack got.

import { Agent, request } from "node:http";
import { connect } from "node:net";
import { setPriority } from "node:os";
import { isMainThread, parentPort, Worker } from "node:worker_threads";

const requests_per_s = 100;
const [url, seconds, attack, attacker, ...tokens] = process.argv.slice(2);
const { hostname, port } = new URL(url);
const statuses = {};

function post(agent, token, body) {
	return new Promise((resolve) => {
		const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
		const call = request(`${url}/v1/execute`, { method: "POST", agent, headers }, (answer) => {
			answer.on("error", () => resolve("broken"));
			answer.on("end", () => resolve(answer.statusCode));
			answer.resume();
		});
		call.on("error", (error) => resolve(error.code));
		call.end(body);
	});
}

const execute = (sql, ...args) =>
	JSON.stringify({ stmt: { sql, args: args.map((value) => ({ type: "text", value })) } });

const long_one =
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const write = execute("INSERT INTO note VALUES (?)", "hello");
const read = execute("SELECT count(*) FROM note");

// Over and over, `n` at a time.
function crowd(n, body) {
	const agent = new Agent({ keepAlive: true, maxSockets: n });

	async function one() {
		for (;;) {
			const status = await post(agent, attacker, body);
			statuses[status] = (statuses[status] ?? 0) + 1;
			// Retry-After is a second; a crowd has a tenth of that patience.
			if (status !== 200) await new Promise((resolve) => setTimeout(resolve, 100));
		}
	}
	for (let i = 0; i < n; i++) one();
}

function drip(n, start, byte) {
	for (let i = 0; i < n; i++) {
		const socket = connect(port, hostname, () => socket.write(start));
		socket.on("error", () => {});
		socket.on("data", (answer) => {
			const status = answer.toString("latin1").slice(9, 12);
			statuses[status] = (statuses[status] ?? 0) + 1;
		});
		if (byte === "") continue;
		const timer = setInterval(() => socket.writable && socket.write(byte), 1000);
		socket.on("close", () => clearInterval(timer));
	}
}

const head =
	"POST /v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
	`Authorization: Bearer ${attacker}\r\n`;

const attacks = {
	none: () => {},
	idle: () => drip(2000, "", ""),
	headers: () => drip(200, head, "X"),
	bodies: () => drip(200, `${head}Content-Length: 1000\r\n\r\n{`, " "),
	large: () => crowd(8, execute("SELECT length(?)", "x".repeat(4 * 1024 * 1024 - 1000))),
	tiny: () => crowd(100, ""),
	reads: () => crowd(100, read),
	writes: () => crowd(100, write),
	long: () => crowd(100, execute(long_one)),
};

function percentile(sorted, p) {
	return sorted[Math.max(0, Math.ceil((sorted.length * p) / 100) - 1)] ?? 0;
}

// Of the thread: until it is told to end.
function make_crowd() {
	setPriority(0, 19);
	attacks[attack]();
	parentPort.on("message", () => {
		parentPort.postMessage(statuses);
		process.exit(0);
	});
}

async function measure() {
	const crowd_thread = new Worker(import.meta.filename, { argv: process.argv.slice(2) });
	await new Promise((resolve) => setTimeout(resolve, 1500));

	// An answer that comes late does not put the next question off.
	const agent = new Agent({ keepAlive: true, maxSockets: 1000 });
	const times = [];
	const calls = [];
	let bad = 0;
	const began = performance.now();
	for (let i = 0; i < seconds * requests_per_s; i++) {
		const due = began + (i * 1000) / requests_per_s;
		while (performance.now() < due)
			await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
		const asked = performance.now();
		calls.push(
			post(agent, tokens[i % tokens.length], i % 4 === 0 ? write : read).then((status) => {
				if (status !== 200) bad++;
				times.push(performance.now() - asked);
			}),
		);
	}
	await Promise.all(calls);
	times.sort((a, b) => a - b);
	const ended = new Promise((resolve) => crowd_thread.on("message", resolve));
	crowd_thread.postMessage("end");
	const round = (ms) => Math.round(ms * 10) / 10;
	console.log(
		JSON.stringify({
			answers: times.length,
			bad,
			p50: round(percentile(times, 50)),
			p99: round(percentile(times, 99)),
			max: round(times.at(-1)),
			statuses: await ended,
		}),
	);
	process.exit(0);
}

if (isMainThread) await measure();
else make_crowd();
