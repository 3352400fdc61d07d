// What Holdfast answers is what SQLite says: thousands of statements and values
// go through Hrana and, beside it, straight into the same library.
//
// Everything follows from a seed, which is printed; SEED=n repeats a run.
// STREAMS=n makes it longer.  A stream is one request or several with a baton; for
// the other side it is a connection of its own.

import { deepEqual } from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { PlainSqlite } from "./lib/plain-sqlite.mjs";
import { Random } from "./lib/random.mjs";
import { anyValue, changesRows, isSetting, schema, statement, value } from "./lib/sql-generator.mjs";
import { request } from "./lib/stack.mjs";

const seed = Number(process.env.SEED ?? Date.now() % 1000000);
const nstreams = Number(process.env.STREAMS ?? 60);
const { SCRATCH } = process.env;

// ---- values on the wire

function toHrana(random, { type, value }) {
	switch (type) {
	case "null": return { type };
	case "integer": return { type, value: `${value}` };
	case "float": return { type, value: JSON.rawJSON(Object.is(value, -0) ? "-0.0" : `${value}`) };
	case "text": return { type, value: value.toString() };
	case "blob": {
		const base64 = value.toString("base64");
		return { type, base64: random.chance(0.5) ? base64 : base64.replace(/=*$/, "") };
	}
	}
}

// Where SQLite has bytes that are no text, U+FFFD stands; how many is not our business.
const repair = (text) => text.replace(/\ufffd+/g, "\ufffd");
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function comparable({ type, value }) {
	switch (type) {
	case "null": return { type };
	case "integer": return { type, value: `${value}` };
	case "float": return { type, value: Number.isFinite(value) ? value : null };
	case "text": return { type, value: repair(decoder.decode(value)) };
	case "blob": return { type, base64: value.toString("base64").replace(/=*$/, "") };
	}
}

const repaired = (v) => (v.type === "text" ? { ...v, value: repair(v.value) } : v);

// A long message is cut.
function errorOf({ message, code, extended_code }) {
	return { error: { message: repair(message).slice(0, 100), code, extended_code } };
}

const refusal = (code) => ({ error: { code } });

// ---- one user: what is sent, and what is to come back

class Side {
	plain = new PlainSqlite();
	counts = { streams: 0, statements: 0, errors: 0, rows: 0, values: 0 };

	constructor(user, seed) {
		this.user = user;
		this.random = new Random(seed);
		mkdirSync(SCRATCH, { recursive: true });
		this.path = `${SCRATCH}/${user}.db`;
	}

	async result(sql, values, want_rows) {
		const answer = await this.plain.run(sql, values);
		this.counts.statements++;
		this.counts.values += values.length;
		this.counts.rows += answer.rows.length;
		if (answer.error) {
			this.counts.errors++;
			return { ...errorOf(answer.error), autocommit: answer.autocommit };
		}
		const changed = changesRows(sql);
		return {
			autocommit: answer.autocommit,
			result: {
				cols: answer.cols,
				rows: want_rows ? answer.rows.map((row) => row.map(comparable)) : [],
				affected_row_count: changed && answer.moved !== 0n ? Number(answer.changes) : 0,
				last_insert_rowid: changed ? `${answer.rowid}` : null,
			},
		};
	}

	args({ values, names }) {
		const { random } = this;
		if (names.length === 0)
			return { args: values.map((v) => toHrana(random, v)) };
		const named_args = values.map((v, i) => ({
			name: random.chance(0.5) ? names[i] : names[i].slice(1),
			value: toHrana(random, v),
		}));
		if (random.chance(0.3))
			named_args.reverse();
		if (random.chance(0.1))
			named_args.push({ name: "nobody", value: { type: "null" } });
		return { named_args };
	}

	// { stmt, want }: a Stmt, and a function that does it on the other side.
	makeStmt() {
		const { random } = this;
		const made = statement(random);
		const want_rows = random.chance(0.9);
		const stmt = { sql: made.sql, ...this.args(made), ...(want_rows && random.chance(0.5) ? {} : { want_rows }) };
		const refused = (code) => async () => {
			const { error } = isSetting(stmt.sql) ? {} : await this.plain.describe(stmt.sql);
			return error ? errorOf(error) : refusal(code);
		};

		if (random.chance(0.02)) {
			stmt.sql = random.pick(["", " \n", ";", "-- only a comment", "/* open", ";;"]);
			return { stmt, want: async () => refusal("SQL_NO_STATEMENT") };
		}
		if (random.chance(0.02)) {
			stmt.sql += "; SELECT 2";
			return { stmt, want: refused("SQL_MANY_STATEMENTS") };
		}
		if (made.values.length > 0 && random.chance(0.03)) {
			const list = stmt.args ?? stmt.named_args;
			if (random.chance(0.5) || stmt.named_args) {
				stmt[stmt.args ? "args" : "named_args"] = list.filter(({ name }) => name === "nobody");
			} else {
				list.push({ type: "null" });
			}
			return { stmt, want: refused("ARGS_INVALID") };
		}
		if (made.values.length > 0 && random.chance(0.01)) {
			stmt.args = [{ type: "null" }];
			stmt.named_args = [{ name: "a", value: { type: "null" } }];
			return { stmt, want: refused("ARGS_BOTH_POSITIONAL_AND_NAMED") };
		}
		if (random.chance(0.1))
			stmt.sql = random.pick([`  ${stmt.sql};`, `/* x */ ${stmt.sql} ; -- done`, `${stmt.sql};;\n`]);
		return { stmt, want: () => this.result(stmt.sql, made.values, want_rows) };
	}

	// A condition as Hrana has it, and the same as a function of what happened.
	makeCondition(nsteps, depth = 2) {
		const { random } = this;
		const inner = () => this.makeCondition(nsteps, depth - 1);
		if (nsteps === 0 || depth === 0 || random.chance(0.5)) {
			if (nsteps === 0 || random.chance(0.2))
				return { cond: { type: "is_autocommit" }, holds: ({ autocommit }) => autocommit };
			const step = random.below(nsteps), type = random.pick(["ok", "error"]);
			return { cond: { type, step }, holds: ({ ok }) => ok[step] === (type === "ok") };
		}
		const several = random.times(0, 3, inner);
		return random.pick([
			() => {
				const { cond, holds } = inner();
				return { cond: { type: "not", cond }, holds: (past) => !holds(past) };
			},
			() => ({
				cond: { type: "and", conds: several.map(({ cond }) => cond) },
				holds: (past) => several.every(({ holds }) => holds(past)),
			}),
			() => ({
				cond: { type: "or", conds: several.map(({ cond }) => cond) },
				holds: (past) => several.some(({ holds }) => holds(past)),
			}),
		])();
	}

	makeBatch() {
		const steps = this.random.times(1, 6, (i) => ({
			...this.makeStmt(),
			...(this.random.chance(0.6) ? this.makeCondition(i) : {}),
		}));
		const want = async (autocommit) => {
			const past = { ok: [], autocommit };
			const result = { step_results: [], step_errors: [] };
			for (const step of steps) {
				const due = !step.holds || step.holds(past);
				const did = due ? await step.want() : {};
				past.autocommit = did.autocommit ?? past.autocommit;
				past.ok.push(did.result !== undefined);
				result.step_results.push(did.result ?? null);
				result.step_errors.push(did.error ?? null);
			}
			return { result, autocommit: past.autocommit };
		};
		return {
			request: { type: "batch", batch: { steps: steps.map(({ stmt, cond }) => ({ stmt, ...(cond ? { condition: cond } : {}) })) } },
			want,
		};
	}

	makeSequence() {
		const sql = this.random.times(1, 4, () => statement(this.random, "literal").sql).join(";\n");
		return {
			request: { type: "sequence", sql },
			want: async () => {
				const { error, autocommit } = await this.plain.sequence(sql);
				this.counts.statements++;
				return error ? { ...errorOf(error), autocommit } : { autocommit };
			},
		};
	}

	makeDescribe() {
		const { sql } = statement(this.random);
		if (isSetting(sql))
			return this.makeDescribe();
		return {
			request: { type: "describe", sql },
			want: async () => {
				const { error, params, cols, is_explain, is_readonly } = await this.plain.describe(sql);
				return error ? errorOf(error) : { result: { params, cols, is_explain, is_readonly } };
			},
		};
	}

	makeRequest() {
		const { random } = this, which = random.below(100);
		if (which < 60) {
			const { stmt, want } = this.makeStmt();
			if (random.chance(0.1)) {
				const sql_id = random.below(3), { sql } = stmt;
				return {
					before: { type: "store_sql", sql_id, sql },
					request: { type: "execute", stmt: { ...stmt, sql: undefined, sql_id } },
					want,
				};
			}
			return { request: { type: "execute", stmt }, want };
		}
		if (which < 80)
			return this.makeBatch();
		if (which < 88)
			return this.makeSequence();
		if (which < 96)
			return this.makeDescribe();
		return { request: { type: "get_autocommit" }, want: async (autocommit) => ({ is_autocommit: autocommit }) };
	}

	// changes() and last_insert_rowid() may be forgotten between two requests.
	mark() {
		const sql = "INSERT INTO log VALUES ('mark', NULL)";
		return { request: { type: "execute", stmt: { sql } }, want: () => this.result(sql, [], true) };
	}

	compare(got, { autocommit, ...want }, { before: { sql } = {}, request }) {
		try {
			deepEqual(simplified(got, want), want);
		} catch (difference) {
			throw new Error(`seed ${seed}, ${this.user}, stream ${this.counts.streams}: ${difference.message}\n${sql ?? ""} ${JSON.stringify(request)}`);
		}
	}

	async stream() {
		this.counts.streams++;
		const made = this.random.times(2, 14, () => this.makeRequest());
		const version = this.random.pick(["v2", "v3"]);
		let autocommit = true, baton;
		await this.plain.open(this.path);
		while (made.length > 0) {
			const some = [this.mark(), ...made.splice(0, 1 + this.random.below(made.length))];
			const requests = some.flatMap(({ before, request }) => (before ? [before, request] : [request]));
			if (made.length === 0)
				requests.push({ type: "close" });
			const { status, body } = await request(this.user, "POST", `${version}/pipeline`, { baton, requests });
			if (status !== 200)
				throw new Error(`seed ${seed}, ${this.user}: ${status} ${JSON.stringify(body)}\n${JSON.stringify(requests)}`);
			baton = body.baton;
			deepEqual([body.results.length, body.base_url], [requests.length, null]);
			const results = body.results.filter((_, i) => !["store_sql", "close"].includes(requests[i].type));
			for (const [i, sent] of some.entries()) {
				const wanted = await sent.want(autocommit);
				autocommit = wanted.autocommit ?? autocommit;
				this.compare(results[i], wanted, sent);
			}
		}
		deepEqual(baton, null);
	}

	async everything() {
		await this.plain.open(this.path);
		const [{ response: { result } }] = await this.ask("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
		for (const [{ value: name }] of result.rows) {
			const sql = `SELECT * FROM "${name}" ORDER BY 1, 2`;
			const [got] = await this.ask(sql);
			this.compare(got, await this.result(sql, [], true), { request: sql });
		}
		return result.rows.length;
	}

	async ask(sql) {
		return (await request(this.user, "POST", "v2/pipeline", { requests: [{ type: "execute", stmt: { sql } }, { type: "close" }] })).body.results;
	}

	async prepare() {
		await this.plain.open(this.path);
		deepEqual((await this.plain.sequence(schema)).error, undefined);
		const { body } = await request(this.user, "POST", "v2/pipeline", { requests: [{ type: "sequence", sql: schema }, { type: "close" }] });
		deepEqual(body.results[0], { type: "ok", response: { type: "sequence" } });
	}
}

// A result of ours, as far as the other side can know it.
function simplified(got, want) {
	const stmt = ({ cols, rows, affected_row_count, last_insert_rowid }) =>
		({ cols, rows: rows.map((row) => row.map(repaired)), affected_row_count, last_insert_rowid });
	const error = (e, wanted) => (wanted && !wanted.message ? { code: e.code } : errorOf(e).error);

	if (got.type === "error")
		return { error: error(got.error, want.error) };
	const { type, result, is_autocommit } = got.response;
	switch (type) {
	case "execute": return { result: stmt(result) };
	case "batch": return {
		result: {
			step_results: result.step_results.map((r) => r && stmt(r)),
			step_errors: result.step_errors.map((e, i) => e && error(e, want.result?.step_errors[i])),
		},
	};
	case "describe": return { result };
	case "get_autocommit": return { is_autocommit };
	default: return {};
	}
}

// ---- what is run

async function run(user, n) {
	const side = new Side(user, seed * 10 + n);
	try {
		await side.prepare();
		while (side.counts.streams < nstreams)
			await side.stream();
		const ntables = await side.everything();
		return { ...side.counts, tables: ntables };
	} finally {
		side.plain.close();
	}
}

// At the same time, since they are strangers to each other.
const users = ["ann", "ben", "cleo", "dan"].map((user, n) => ({ user, done: run(user, n) }));
for (const { done } of users)
	done.catch(() => {});

for (const { user, done } of users)
	test(`statements of ${user} give what SQLite gives`, async (t) => {
		const counts = await done;
		t.diagnostic(`SEED=${seed} ${user}: ${Object.entries(counts).map(([what, n]) => `${n} ${what}`).join(", ")}`);
	});

const sweep = ["null", "integer", "float", "text", "blob"];
test("a value comes back as it was, and is stored in every column as SQLite stores it", async (t) => {
	const side = new Side("eve", seed);
	const random = side.random;
	const create = "CREATE TABLE every(a INT, b TEXT, c REAL, d NUMERIC, e BLOB, f, g ANY, h DATE)";
	const insert = "INSERT INTO every VALUES (?1, ?1, ?1, ?1, ?1, ?1, ?1, ?1) RETURNING *";
	const look = "SELECT ?1 AS it, typeof(?1), quote(?1), length(?1), hex(?1), CAST(?1 AS TEXT), CAST(?1 AS INT), CAST(?1 AS REAL), ?1 + 0";
	let n = 0;
	try {
		await side.plain.open(side.path);
		await side.plain.sequence(create);
		await side.ask(create);
		for (let round = 0; round < 40; round++) {
			const values = random.times(20, 20, () => (random.chance(0.2) ? anyValue(random) : value[random.pick(sweep)](random)));
			const made = values.flatMap((v) => [look, insert].map((sql) => ({ sql, v })));
			const { status, body } = await request("eve", "POST", "v3/pipeline", {
				requests: [...made.map(({ sql, v }) => ({ type: "execute", stmt: { sql, args: [toHrana(random, v)] } })), { type: "close" }],
			});
			deepEqual(status, 200, JSON.stringify(body));
			await side.plain.open(side.path);
			for (const [i, { sql, v }] of made.entries()) {
				side.compare(body.results[i], await side.result(sql, [v], true), { request: `${sql} with ${v.type} ${v.value}` });
				n++;
			}
		}
	} finally {
		side.plain.close();
	}
	t.diagnostic(`SEED=${seed} values: ${n} statements`);
});
