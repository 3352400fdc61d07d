// A client as they should be.  It counts what it was told to be committed, and asks
// for the same number again and again.
//
// The tables stay as large as they are: its row of `counter`, and notes that
// replace each other.

import { setTimeout as pause } from "node:timers/promises";
import { complain, execute, integer, send, text } from "./answer.mjs";

export const tables = `
	CREATE TABLE IF NOT EXISTS counter(client INTEGER PRIMARY KEY, n);
	CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY, text, filling);
	CREATE INDEX IF NOT EXISTS by_text ON note(lower(text));
	CREATE VIRTUAL TABLE IF NOT EXISTS word USING fts5(text)`;
const notes = 100;
const largest_filling = 30000;
const up = "INSERT INTO counter VALUES (?, 1) ON CONFLICT DO UPDATE SET n = n + 1";
const put = "INSERT OR REPLACE INTO note VALUES (?, ?, randomblob(?))";
const index = "INSERT OR REPLACE INTO word(rowid, text) VALUES (?, ?)";
const ran = (result) => result?.type === "ok";
const run = (sql, ...args) => ({ type: "execute", stmt: { sql, args } });
const close = { type: "close" };

// A refusal is certain; where there is no answer nobody knows.
const outcome = ({ status, code }, done) =>
	status === 200 && done ? "acked" : status === 0 || code === "OUTCOME_UNKNOWN" ? "unknown" : "undone";

export class Client {
	acked = 0;
	unknown = 0;

	constructor(url, user, number, token, roll) {
		Object.assign(this, { url, user, number, token, roll });
	}

	send(request) {
		return send(this.url, { token: this.token(this.user), ...request });
	}

	note() {
		const id = this.roll(notes);
		return { put: [put, integer(id), text(`note ${id} of ${this.number}`), integer(this.roll(largest_filling))],
			index: [index, integer(id), text(`${id} mod ${id % 7}`)] };
	}

	// ---- what writes: "acked", "undone" or "unknown"

	async single() {
		const headers = this.roll(4) === 0 ? { Prefer: "wait=1" } : {};
		const answer = await this.send({ ...execute(up, integer(this.number)), headers });
		return outcome(answer, true);
	}

	steps() {
		const { put, index } = this.note();
		const texts = [["BEGIN IMMEDIATE"], [up, integer(this.number)], put, index, ["COMMIT"]];
		const steps = texts.map(([sql, ...args], i) => ({
			stmt: { sql, args }, ...(i > 0 && { condition: { type: "ok", step: i - 1 } }),
		}));

		return [...steps, { stmt: { sql: "ROLLBACK" },
			condition: { type: "not", cond: { type: "ok", step: steps.length - 1 } } }];
	}

	async batch() {
		const answer = await this.send({ path: "/v1/batch", body: { batch: { steps: this.steps() } } });
		return outcome(answer, answer.result?.step_results[4]);
	}

	async pipeline() {
		const steps = this.steps();
		steps[1].stmt = { sql_id: 0, args: steps[1].stmt.args };
		const requests = [{ type: "store_sql", sql_id: 0, sql: up }, { type: "batch", batch: { steps } }, close];
		const answer = await this.send({ path: "/v2/pipeline", body: { requests } });
		return outcome(answer, answer.results?.[1].response?.result.step_results[4]);
	}

	async goOn(baton, ...requests) {
		const answer = await this.send({ path: "/v3/pipeline", body: { baton, requests } });
		return { ...answer, good: answer.status === 200 && answer.results.every(ran) };
	}

	async transaction() {
		let now = await this.goOn(null, run(this.roll(3) ? "BEGIN IMMEDIATE" : "BEGIN"));
		for (const [sql, ...args] of [["SELECT count(*) FROM note"], [up, integer(this.number)], this.note().put])
			if (now.good)
				now = await this.goOn(now.baton, run(sql, ...args), { type: "get_autocommit" });
		if (!now.good) {
			if (now.baton)
				await this.goOn(now.baton, close);
			return "undone";
		}
		// Some are rolled back, some are left to their end.
		const end = this.roll(30);
		if (end < 2)
			return "undone";
		const last = await this.goOn(now.baton, run(end < 8 ? "ROLLBACK" : "COMMIT"), close);
		return end < 8 ? "undone" : outcome(last, last.good);
	}

	// ---- what reads

	async count() {
		const { status, result } = await this.send(execute(
			"SELECT n FROM counter WHERE client = ?", integer(this.number)));
		if (status !== 200)
			return false;
		const n = Number(result.rows[0]?.[0].value ?? 0);
		if (n < this.acked || n > this.acked + this.unknown)
			complain(`${this.user}/${this.number}: counted ${n}, told ${this.acked}, unknown ${this.unknown}`);
		return true;
	}

	async cursor() {
		const steps = [{ stmt: { sql: "SELECT id, text, filling FROM note LIMIT 30" } }];
		const { status, lines } = await this.send({ path: "/v3/cursor", body: { batch: { steps } } });
		if (status === 200 && !["step_end", "step_error"].includes(lines.at(-1).type))
			complain(`cursor: ended with ${JSON.stringify(lines.at(-1))}`);
	}

	async sync() {
		switch (this.roll(4)) {
		case 0:
			return this.send({ path: "/v1/sync", body: "" });
		case 1: {
			const { status, code } = await this.send({ path: "/v1/sync/resolve", body: { keep: "local" } });
			if (status === 200 || code === "SYNC_CONFLICT")
				complain(`${this.user}: there was a conflict`);
			return undefined;
		}
		default:
			return this.send({ method: this.roll(5) ? "GET" : "HEAD", path: "/v1/sync" });
		}
	}

	async look() {
		const requests = [
			{ type: "describe", sql: put }, run("SELECT max(length(filling)) FROM note"),
			run("SELECT rowid FROM word WHERE word MATCH 'mod' ORDER BY rank LIMIT 10"),
			{ type: "sequence", sql: "PRAGMA foreign_keys=OFF; CREATE TEMP TABLE IF NOT EXISTS x AS SELECT 1" },
			{ type: "get_autocommit" }, close];
		return this.send({ path: "/v3/pipeline", body: { requests } });
	}

	async mayNotWrite() {
		const token = this.token(this.user, { a: "ro" });
		const { status } = await this.send({ ...execute(up, integer(this.number)), token });
		if (status === 200)
			complain(`${this.user}: a reading token has written`);
	}

	async write() {
		const told = await this[["single", "single", "batch", "pipeline", "transaction"][this.roll(5)]]();
		this.acked += told === "acked";
		this.unknown += told === "unknown";
	}

	async prepare() {
		const body = { requests: [{ type: "sequence", sql: tables }] };
		for (;;) {
			const { status, results } = await this.send({ path: "/v2/pipeline", body });
			if (status === 200 && ran(results[0]))
				break;
			await pause(100);
		}
	}

	async run(until) {
		const reads = ["count", "cursor", "sync", "look", "mayNotWrite"];

		await this.prepare();
		while (Date.now() < until) {
			if (this.roll(2) === 0)
				await this.write();
			else if (this.roll(100) === 0)
				await this.send(execute("VACUUM"));
			else
				await this[reads[this.roll(reads.length)]]();
			await pause(this.roll(200));
		}
	}

	async finish() {
		for (let tries = 0; !await this.count(); tries++) {
			if (tries === 50)
				return complain(`${this.user}: cannot be read in the end`);
			await pause(200);
		}
	}
}
