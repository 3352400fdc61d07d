// Clients that write without a pause worth mentioning, and a record of what they
// were told, kept outside of the program.
//
//	node writers.mjs URL RECORD SEED ONE_IN USER=TOKEN...
//
// One transaction in ONE_IN is a large one.  Ends with TERM, after the answers that
// are still out.  RECORD is a folder; the file of a user's name in it grows by a
// line { id, what } each time something is known about a transaction:
//
//	sent	before it leaves
//	acked	answered as committed: must be in the database for ever
//	undone	rolled back, or refused: must never be
//	stored	acked before a POST /v1/sync that said that all is in the store
//
// What was sent and is none of the others had no answer, or one that says that
// nobody knows: it may be there or not, as a whole.
//
// Whatever is torn shows: a transaction takes all four parts, each on pages of its
// own, one step further, has a line in the log, and keeps the sums over the
// ballast in `total` true; or it makes a table anew, whose last column and index
// bear its name, and says so in `shaped`.  See check.mjs.

import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { followParent } from "../tools/follow-parent.mjs";
import { dice } from "./dice.mjs";

const [url, record, seed, one_in, ...users] = process.argv.slice(2);
if (!users.length) {
	console.error("usage: writers.mjs URL RECORD SEED ONE_IN USER=TOKEN...");
	process.exit(2);
}

let stopping = false;
process.on("SIGTERM", () => { stopping = true; });
followParent(() => process.exit(1));

// ---- what is sent

const tables = `BEGIN IMMEDIATE;
	CREATE TABLE IF NOT EXISTS part(id INTEGER PRIMARY KEY, step, filling);
	CREATE TABLE IF NOT EXISTS log(step INTEGER PRIMARY KEY, id TEXT UNIQUE);
	CREATE TABLE IF NOT EXISTS ballast(step INTEGER PRIMARY KEY, filling);
	CREATE TABLE IF NOT EXISTS total(id INTEGER PRIMARY KEY, n, bytes);
	CREATE TABLE IF NOT EXISTS single(id TEXT PRIMARY KEY);
	CREATE TABLE IF NOT EXISTS shaped(id INTEGER PRIMARY KEY, name);
	INSERT OR IGNORE INTO part VALUES (1, 0, ''), (2, 0, ''), (3, 0, ''), (4, 0, '');
	INSERT OR IGNORE INTO total VALUES (1, 0, 0);
	COMMIT`;

// The statements of a transaction; what it stores is random to the database, too.
function step(id, roll, end) {
	const size = roll(Number(one_in)) === 0 ? 20000 + roll(300000) : roll(6000);
	const keep = roll(8) === 0 ? 2 : 25;

	return [
		"BEGIN IMMEDIATE",
		`UPDATE part SET step = step + 1, filling = randomblob(${500 + roll(3000)}) WHERE id % 2 = 1`,
		`INSERT INTO log SELECT max(step), '${id}' FROM part`,
		`INSERT INTO ballast SELECT max(step), randomblob(${size}) FROM part`,
		`DELETE FROM ballast WHERE step <= (SELECT max(step) FROM log) - ${keep}`,
		`UPDATE part SET step = step + 1, filling = randomblob(${500 + roll(3000)}) WHERE id % 2 = 0`,
		`UPDATE total SET n = (SELECT count(*) FROM ballast),
			bytes = (SELECT coalesce(sum(length(filling)), 0) FROM ballast)`,
		end,
	];
}

function reshape(id, roll, end) {
	return [
		"BEGIN IMMEDIATE",
		"DROP TABLE IF EXISTS shape",
		"CREATE TABLE shape(row INTEGER PRIMARY KEY, filling)",
		`INSERT INTO shape(filling) SELECT randomblob(${100 + roll(900)}) FROM part, part AS p`,
		`ALTER TABLE shape ADD COLUMN "${id}" DEFAULT 1`,
		`CREATE INDEX "by ${id}" ON shape("${id}", filling)`,
		`INSERT OR REPLACE INTO shaped VALUES (1, '${id}')`,
		`INSERT INTO single VALUES ('${id}')`,
		end,
	];
}

const sequence = (statements) => ({
	path: "/v2/pipeline",
	body: { requests: [{ type: "sequence", sql: statements.join(";\n") }] },
	done: (answer) => answer.results[0].type === "ok",
});

const batch = (statements) => ({
	path: "/v1/batch",
	body: {
		batch: {
			steps: statements.map((sql, i) => ({
				stmt: { sql },
				...(i > 0 && { condition: { type: "ok", step: i - 1 } }),
			})),
		},
	},
	done: (answer) => answer.result.step_results.at(-1) !== null,
});

const execute = (sql) => ({
	path: "/v1/execute",
	body: { stmt: { sql } },
	done: () => true,
});

// ---- one client

// A refusal is certain, but for these: nginx has lost the program in the middle.
const unsure = ["OUTCOME_UNKNOWN", "INTERNAL_ERROR"];

async function send(token, { path, body, done }) {
	try {
		const response = await fetch(url + path, {
			method: "POST",
			headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
			body: JSON.stringify(body),
			signal: AbortSignal.timeout(20000),
		});
		const answer = await response.json();

		if (response.status === 200)
			return done(answer) ? "acked" : "undone";
		return unsure.includes(answer.code) ? "unknown" : "undone";
	} catch {
		return "unknown";
	}
}

class Client {
	constructor(user, token, number) {
		this.token = token;
		this.fd = openSync(join(record, user), "a", 0o600);
		this.name = `${seed}.${number}`;
		this.roll = dice(`${seed} ${user} ${number}`);
		this.acked = [];
		this.count = 0;
	}

	note(what, ...ids) {
		writeSync(this.fd, ids.map((id) => JSON.stringify({ id, what }) + "\n").join(""));
	}

	async transaction(id) {
		const undo = this.roll(12) === 0;
		const statements = this.roll(10) === 0 ? reshape : step;
		const kind = this.roll(2) ? sequence : batch;
		const outcome = send(this.token,
			kind(statements(id, this.roll, undo ? "ROLLBACK" : "COMMIT")));

		return undo ? outcome.then(() => "undone") : outcome;
	}

	async write() {
		const id = `${this.name}.${++this.count}`;

		this.note("sent", id);
		const outcome = await (this.roll(4) === 0
			? send(this.token, execute(`INSERT INTO single VALUES ('${id}')`))
			: this.transaction(id));
		if (outcome === "unknown")
			return;
		this.note(outcome, id);
		if (outcome === "acked")
			this.acked.push(id);
	}

	async sync() {
		const ids = this.acked;

		this.acked = [];
		const outcome = await send(this.token,
			{ path: "/v1/sync", body: {}, done: (answer) => answer.status !== "failed" });
		if (outcome === "acked")
			this.note("stored", ...ids);
	}

	async run() {
		while (!stopping && await send(this.token, sequence([tables])) !== "acked")
			await pause(50);
		while (!stopping) {
			if (this.roll(15) === 0)
				await this.sync();
			else if (this.roll(25) === 0)
				await send(this.token, execute("VACUUM"));
			else
				await this.write();
			await pause(this.roll(120));
		}
	}
}

const clients = users.flatMap((text, i) => {
	const [user, token] = text.split("=", 2);

	// The first user is written by two at once.
	return Array.from({ length: i === 0 ? 2 : 1 }, (_, n) => new Client(user, token, n));
});
await Promise.all(clients.map((client) => client.run()));
