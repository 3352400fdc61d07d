// The server's endpoints, as this console uses them.
//
//	const api = new Api(token);
//	api.addEventListener("refused", ...)	the token is not good any more: event.detail
//	api.addEventListener("news", ...)	some answer had another X-Sync-Status than before
//	await api.run(["SELECT 1", ...])
//
// What goes wrong is thrown as an ApiError, in words for people.

import { Holdfast } from "../holdfast.js";

export class ApiError extends Error {
	constructor(status, code, message) {
		super(message);
		this.status = status; // 0: there was no answer
		this.code = code;
	}
}

const noAnswer =
	"The server did not answer. A write that was under way is there as a whole or not at " +
	"all: look before you send it again.";

const noExport = "This server cannot export a database yet: it has no GET /v1/export.";

async function errorOf(response) {
	let body = {};

	try {
		body = await response.json();
	} catch {
		// A proxy's page, say; the status has to do.
	}
	return new ApiError(
		response.status,
		body.code ?? `HTTP ${response.status}`,
		body.message ?? `The server answered ${response.status}.`,
	);
}

export class Api extends EventTarget {
	#token;
	#holdfast;

	constructor(token) {
		super();
		this.#token = token;
		this.#holdfast = new Holdfast({ url: "/", token, poll: false });
		this.#holdfast.addEventListener("change", () =>
			this.dispatchEvent(new Event("news")),
		);
	}

	async #call(method, path, body) {
		let response;

		try {
			response = await this.#holdfast.fetch(path, {
				method,
				headers: { Authorization: `Bearer ${this.#token}` },
				body: body === undefined ? undefined : JSON.stringify(body),
				cache: "no-store",
				credentials: "omit",
			});
		} catch {
			throw new ApiError(0, "NO_ANSWER", noAnswer);
		}
		if (!response.ok) {
			const error = await errorOf(response);

			if (error.status === 401)
				this.dispatchEvent(new CustomEvent("refused", { detail: error }));
			throw error;
		}
		return response;
	}

	async #json(...request) {
		const response = await this.#call(...request);

		try {
			return await response.json();
		} catch {
			throw new ApiError(0, "NO_ANSWER", noAnswer);
		}
	}

	// Statements one after another, each { sql, args? } or its SQL, up to the first that
	// fails.  Gives { outcomes, leftOpen }: an outcome is { result }, { error } or {} for
	// what was not reached; leftOpen: a transaction was, and is rolled back.
	async run(statements) {
		const steps = statements.map((statement, i) => ({
			condition: i > 0 ? { type: "ok", step: i - 1 } : null,
			stmt: typeof statement === "string" ? { sql: statement } : statement,
		}));
		const { results } = await this.#json("POST", "/v3/pipeline", {
			requests: [
				{ type: "batch", batch: { steps } },
				{ type: "get_autocommit" },
				{ type: "close" },
			],
		});
		const [batch, autocommit] = results;

		if (batch.type === "error")
			throw new ApiError(200, batch.error.code, batch.error.message);
		const { step_results, step_errors } = batch.response.result;
		return {
			outcomes: steps.map((_, i) => {
				if (step_errors[i])
					return { error: step_errors[i] };
				return step_results[i] ? { result: step_results[i] } : {};
			}),
			leftOpen: autocommit.type === "ok" && !autocommit.response.is_autocommit,
		};
	}

	// The rows of one statement as objects.
	async rows(sql, ...args) {
		const { outcomes } = await this.run([
			{ sql, args: args.map((value) => ({ type: "text", value })) },
		]);
		const [{ result, error }] = outcomes;

		if (error)
			throw new ApiError(200, error.code, error.message);
		return result.rows.map((row) =>
			Object.fromEntries(
				row.map(({ value = null }, i) => [result.cols[i].name, value]),
			),
		);
	}

	syncState() {
		return this.#json("GET", "/v1/sync");
	}

	pushNow() {
		return this.#json("POST", "/v1/sync");
	}

	resolve(keep) {
		return this.#json("POST", "/v1/sync/resolve", { keep });
	}

	async kept(name) {
		return (
			await this.#call("GET", `/v1/sync/kept/${encodeURIComponent(name)}`)
		).blob();
	}

	async export() {
		try {
			return await (await this.#call("GET", "/v1/export")).blob();
		} catch (error) {
			if (error.status !== 404)
				throw error;
			throw new ApiError(404, error.code, noExport);
		}
	}
}
