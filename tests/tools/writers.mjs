// Many clients that each count up in transactions over several requests.
//
//	writers.mjs URL SECONDS CLIENTS READERS_TOKEN... -- TOKEN...
//
// Client i uses token i modulo their number: one user's tokens for a common
// database, many users' for one each.  A client begins, reads the count, writes
// what it read and one more, commits; and again, until the time is up.  Meanwhile the
// other tokens' users read, at a steady pace.  Before, table c(n) has one row of 0.
//
// Prints one line of JSON: what was committed, what failed, how long BEGIN waited and
// how many others got their turn meanwhile, the fewest that one client committed, and
// how long the readers waited.

import { Agent, request } from "node:http";

const reads_per_s = 50;
const [url, seconds, clients, ...tokens] = process.argv.slice(2);
const readers = tokens.splice(0, tokens.indexOf("--"));
tokens.shift();
const agent = new Agent({ keepAlive: true, maxSockets: 1000 });
const errors = {};
let busy = true;
let turns = 0;

function note(error) {
	errors[error] = (errors[error] ?? 0) + 1;
}

function post(path, token, body) {
	return new Promise((resolve, reject) => {
		const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
		const call = request(url + path, { method: "POST", agent, headers }, (answer) => {
			let text = "";
			answer.setEncoding("utf8");
			answer.on("data", (piece) => (text += piece));
			answer.on("error", reject);
			answer.on("end", () => {
				const read = JSON.parse(text);
				if (answer.statusCode !== 200) reject(new Error(read.code));
				else resolve(read);
			});
		});
		call.on("error", reject);
		call.end(JSON.stringify(body));
	});
}

async function go_on(token, baton, ...requests) {
	const answer = await post("/v3/pipeline", token, { baton, requests });
	for (const { type, error } of answer.results) if (type === "error") throw new Error(error.code);
	return { baton: answer.baton, results: answer.results.map((one) => one.response.result) };
}

const execute = (sql, ...args) => ({ type: "execute", stmt: { sql, args } });

async function count_up(token, waits, passed) {
	const began = performance.now();
	const turns_before = turns;
	const { baton: first } = await go_on(token, null, execute("BEGIN IMMEDIATE"));
	waits.push(performance.now() - began);
	passed.push(turns++ - turns_before);
	const { baton, results } = await go_on(token, first, execute("SELECT n FROM c"));
	const n = BigInt(results[0].rows[0][0].value) + 1n;
	const update = execute("UPDATE c SET n = ?", { type: "integer", value: `${n}` });
	const { baton: last } = await go_on(token, baton, update);
	await go_on(token, last, execute("COMMIT"), { type: "close" });
}

async function write(token, waits, passed) {
	let committed = 0;
	while (busy) {
		try {
			await count_up(token, waits, passed);
			committed++;
		} catch (error) {
			note(error.message);
		}
	}
	return committed;
}

async function read(tokens, waits) {
	const answers = [];
	const began = performance.now();
	for (let i = 0; busy; i++) {
		const due = began + (i * 1000) / reads_per_s;
		await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
		const asked = performance.now();
		const stmt = { sql: "SELECT n FROM c" };
		answers.push(
			post("/v1/execute", tokens[i % tokens.length], { stmt }).then(
				() => waits.push(performance.now() - asked),
				(error) => note(`reader: ${error.message}`),
			),
		);
	}
	await Promise.all(answers);
}

function quantile(numbers, q) {
	const sorted = numbers.toSorted((a, b) => a - b);
	return Math.round(10 * (sorted[Math.ceil(q * sorted.length) - 1] ?? NaN)) / 10;
}

const waits = [];
const passed = [];
const reads = [];
setTimeout(() => (busy = false), seconds * 1000);
const reading = readers.length > 0 ? read(readers, reads) : undefined;
const work = Array.from({ length: +clients }, (_, i) => write(tokens[i % tokens.length], waits, passed));
const committed = await Promise.all(work);
await reading;
agent.destroy();
console.log(
	JSON.stringify({
		committed: committed.reduce((a, b) => a + b),
		fewest: Math.min(...committed),
		errors,
		wait_p50: quantile(waits, 0.5),
		wait_p99: quantile(waits, 0.99),
		wait_max: quantile(waits, 1),
		passed_p50: quantile(passed, 0.5),
		passed_p99: quantile(passed, 0.99),
		passed_max: quantile(passed, 1),
		reads: reads.length,
		read_p50: quantile(reads, 0.5),
		read_p99: quantile(reads, 0.99),
	}),
);
