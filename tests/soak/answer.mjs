// A request, and what every answer has to be, whoever asked for whatever.

import { Agent, request } from "node:http";

const agent = new Agent({ keepAlive: true, maxSockets: 200 });
const sqlite = "ABORT AUTH BUSY CONSTRAINT ERROR FULL INTERRUPT LOCKED MISMATCH NOMEM RANGE READONLY SCHEMA TOOBIG UNKNOWN";
const in_results = new RegExp(
	`^(SQLITE_(${sqlite.split(" ").join("|")})|SQL_[A-Z_]+|ARGS_[A-Z_]+|RESPONSE_TOO_LARGE|` +
	"TRANSACTION_TIMEOUT|STREAM_EXPIRED|SYNC_CONFLICT)$");
const by_status = {
	400: /^(MALFORMED|MALFORMED_REQUEST|BODY_CUT|BATON_REUSED|BATON_INVALID)$/,
	401: /^(UNAUTHORIZED|TOKEN_INVALID|TOKEN_EXPIRED)$/,
	403: /^READ_ONLY$/,
	404: /^NOT_FOUND$/,
	405: /^METHOD_NOT_ALLOWED$/,
	409: /^(SYNC_CONFLICT|NO_CONFLICT)$/,
	413: /^(TOO_LARGE|BODY_TOO_LARGE)$/,
	429: /^(TOO_MANY_REQUESTS|TOO_MANY_STREAMS)$/,
	500: /^OUTCOME_UNKNOWN$/,
	503: /^(BUSY|STORE_UNREACHABLE|STORE_DAMAGED|SYNC_FAILED|SQLITE_BUSY)$/,
	507: /^SQLITE_FULL$/,
};

const seen = {};
const wrong = [];

export const tally = { seen, wrong };

export function complain(what) {
	if (wrong.length < 20)
		console.error(what);
	wrong.push(what);
}

function note(name) {
	seen[name] = (seen[name] ?? 0) + 1;
}

function parse(text, what) {
	try {
		return JSON.parse(text);
	} catch {
		complain(`${what}: no JSON: ${text.slice(0, 300)}`);
		return {};
	}
}

function checkResults(results, what) {
	for (const { type, response, error } of results) {
		if (type === "ok" && typeof response?.type === "string")
			continue;
		note(`  ${error?.code}`);
		if (type !== "error" || !in_results.test(error?.code) || typeof error?.message !== "string")
			complain(`${what}: result ${JSON.stringify(error).slice(0, 300)}`);
	}
}

function checkError(status, body, what) {
	const { code, message, error } = parse(body, what);

	note(`${status} ${code}`);
	const known = by_status[status]?.test(code) || (status === 400 && in_results.test(code));
	if (!known || typeof message !== "string" || error !== message)
		complain(`${what}: ${status} ${body.slice(0, 300)}`);
	return { code, message };
}

// What the answer says, having been judged.
export function judge(status, body, what) {
	if (status >= 400)
		return checkError(status, body, what);
	note(`${status}`);
	if (status === 204)
		return {};
	if (!what.includes("/v3/cursor")) {
		const said = parse(body, what);
		checkResults(said.results ?? [], what);
		return said;
	}
	if (!body.endsWith("\n"))
		complain(`${what}: the last line is cut`);
	const lines = body.trimEnd().split("\n").map((line) => parse(line, what));
	checkResults(lines.filter((line) => line.error).map(({ error }) => ({ type: "error", error })), what);
	return { lines };
}

// { status: 0 }: no answer, or only a part of one.
export function send(url, { method = "POST", path, token, headers = {}, body = "" }) {
	const text = typeof body === "string" ? body : JSON.stringify(body);
	const what = `${method} ${path}`;

	return new Promise((resolve) => {
		const none = (error) => {
			note(`no answer: ${error.code}`);
			resolve({ status: 0 });
		};
		const call = request(url + path, {
			method, agent, timeout: 60000,
			headers: {
				...(token && { Authorization: `Bearer ${token}` }),
				"Content-Type": "application/json", "Content-Length": Buffer.byteLength(text), ...headers,
			},
		}, (answer) => {
			const pieces = [];
			answer.on("data", (piece) => pieces.push(piece));
			answer.on("error", none);
			answer.on("end", () => {
				const status = answer.statusCode;
				const body = Buffer.concat(pieces).toString();
				resolve({ status, ...(method === "HEAD" ? {} : judge(status, body, what)) });
			});
		});
		call.on("error", none);
		call.on("timeout", () => {
			complain(`${what}: no answer for a minute`);
			call.destroy();
		});
		call.end(text);
	});
}

export const execute = (sql, ...args) => ({ path: "/v1/execute", body: { stmt: { sql, args } } });
export const integer = (n) => ({ type: "integer", value: `${n}` });
export const text = (value) => ({ type: "text", value });
