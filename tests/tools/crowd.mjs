// What some users' requests take while others, or nobody in particular, make a crowd.
//
//	crowd.mjs URL ATTACK TURNS ATTACKERS TOKEN...
//
// The tokens' users write and read at a steady pace into table note(text), which is
// there.  That is measured without and with the attack in turns, so that whatever else
// the machine does meanwhile meets both.  ATTACKERS are tokens with commas between them;
// ATTACK is
//
//	idle		2,000 connections that say nothing
//	headers		200 requests whose headers come a byte every 100 ms
//	bodies		200 requests whose bodies do
//	answers		50 requests whose answers of 2 MB nobody takes
//	large		8 requests at a time, each with a body of almost 4 MiB
//	tiny		100 requests at a time with no body at all
//	reads, writes	100 requests at a time
//	long		100 requests at a time that run to the limit of a statement
//	open		a transaction that is kept open, and 20 requests at a time that wait for it
//
// The attack has a thread of its own, with a low priority: elsewhere it would not take the
// program's processors.
//
// Prints one line of JSON: how many answers were no 200; percentiles in ms of all times,
// [quiet, attacked]; `median`, of the turns' 95th percentiles, in the same way; and the
// statuses that the attack got.

import { Agent, request } from "node:http";
import { connect } from "node:net";
import { setPriority } from "node:os";
import { isMainThread, parentPort, Worker } from "node:worker_threads";

const requests_per_s = 200;
const turn_ms = 500;
const settle_ms = 150;
const [url, attack, turns, attackers, ...tokens] = process.argv.slice(2);
const { hostname, port } = new URL(url);
const statuses = {};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function post(agent, token, body, path = "/v1/execute") {
	return new Promise((resolve) => {
		const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
		const call = request(`${url}${path}`, { method: "POST", agent, headers }, (answer) => {
			let text = "";
			answer.setEncoding("utf8");
			answer.on("data", (data) => (text += data));
			answer.on("error", () => resolve({ status: "broken" }));
			answer.on("end", () => resolve({ status: answer.statusCode, text }));
		});
		call.on("error", (error) => resolve({ status: error.code }));
		call.end(body);
	});
}

const execute = (sql, ...args) =>
	JSON.stringify({ stmt: { sql, args: args.map((value) => ({ type: "text", value })) } });

const long_one =
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const write = execute("INSERT INTO note VALUES (?)", "hello");
const read = execute("SELECT count(*) FROM note");

// ---- the attack

const tokens_of_attack = attackers.split(",");
let under_way = [];
let is_on = false;

function count(status) {
	statuses[status] = (statuses[status] ?? 0) + 1;
}

// Over and over, `n` at a time.
function crowd(n, body) {
	const agent = new Agent({ keepAlive: true, maxSockets: n });

	async function one(token) {
		while (is_on) {
			const { status } = await post(agent, token, body);
			if (is_on) count(status);
			// Retry-After is a second; a crowd has a tenth of that patience.
			if (status !== 200) await sleep(100);
		}
	}
	for (let i = 0; i < n; i++) one(tokens_of_attack[i % tokens_of_attack.length]);
	under_way.push(agent);
}

function drip(n, start, byte, paused) {
	for (let i = 0; i < n; i++) {
		const socket = connect(port, hostname, () => socket.write(start));
		socket.on("error", () => {});
		if (paused) socket.pause();
		else socket.on("data", (answer) => count(answer.toString("latin1").slice(9, 12)));
		under_way.push(socket);
		if (byte === "") continue;
		const timer = setInterval(() => socket.writable && socket.write(byte), 100);
		socket.on("close", () => clearInterval(timer));
	}
}

async function keep_open() {
	const agent = new Agent({ keepAlive: true });
	const begin = { type: "execute", stmt: { sql: "BEGIN IMMEDIATE" } };

	under_way.push(agent);
	const body = JSON.stringify({ requests: [begin] });
	count((await post(agent, tokens_of_attack[0], body, "/v2/pipeline")).status);
	crowd(20, write);
}

const head =
	"POST /v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
	`Authorization: Bearer ${tokens_of_attack[0]}\r\n`;
const long_answer = execute("SELECT hex(zeroblob(1000000))");

const attacks = {
	idle: () => drip(2000, "", "", false),
	headers: () => drip(200, head, "X", false),
	bodies: () => drip(200, `${head}Content-Length: 1000\r\n\r\n{`, " ", false),
	answers: () =>
		drip(50, `${head}Content-Length: ${long_answer.length}\r\n\r\n${long_answer}`, "", true),
	large: () => crowd(8, execute("SELECT length(?)", "x".repeat(4 * 1024 * 1024 - 1000))),
	tiny: () => crowd(100, ""),
	reads: () => crowd(100, read),
	writes: () => crowd(100, write),
	long: () => crowd(100, execute(long_one)),
	open: keep_open,
};

// Of the thread: the attack begins and ends as it is told.
function make_crowd() {
	setPriority(0, 19);
	parentPort.on("message", (on) => {
		is_on = on;
		if (on) attacks[attack]();
		else for (const what of under_way.splice(0)) what.destroy();
		parentPort.postMessage(statuses);
	});
}

// ---- the others

function percentile(times, p) {
	const sorted = times.toSorted((a, b) => a - b);
	return sorted[Math.max(0, Math.ceil((sorted.length * p) / 100) - 1)] ?? 0;
}

const agent = new Agent({ keepAlive: true, maxSockets: 1000 });
let bad = 0;

// An answer that comes late does not put the next question off.
async function measure() {
	const times = [];
	const calls = [];
	const began = performance.now();

	for (let i = 0; i < (turn_ms * requests_per_s) / 1000; i++) {
		const due = began + (i * 1000) / requests_per_s;
		while (performance.now() < due) await sleep(due - performance.now());
		const asked = performance.now();
		calls.push(
			post(agent, tokens[i % tokens.length], i % 4 === 0 ? write : read).then((answer) => {
				if (answer.status !== 200) bad++;
				times.push(performance.now() - asked);
			}),
		);
	}
	await Promise.all(calls);
	return times;
}

async function measure_in_turns() {
	const thread = new Worker(import.meta.filename, { argv: process.argv.slice(2) });
	const tell = (on) => {
		const told = new Promise((resolve) => thread.once("message", resolve));
		thread.postMessage(on);
		return told;
	};
	const quiet = [];
	const attacked = [];
	let got = {};

	await measure();
	for (let turn = 0; turn < Number(turns); turn++) {
		quiet.push(await measure());
		await tell(true);
		await sleep(settle_ms);
		attacked.push(await measure());
		got = await tell(false);
		await sleep(settle_ms);
	}
	const round = (ms) => Math.round(ms * 10) / 10;
	const both = (p) => [quiet, attacked].map((times) => round(percentile(times.flat(), p)));
	const median = [quiet, attacked].map((all) =>
		round(percentile(all.map((times) => percentile(times, 95)), 50)),
	);
	const said = { bad, p50: both(50), p95: both(95), p99: both(99), median, statuses: got };
	console.log(JSON.stringify(said));
	process.exit(0);
}

if (isMainThread) await measure_in_turns();
else make_crowd();
