// Tells a page whether what its user has written is in the store, by what Holdfast's
// answers say in X-Sync-Status.  Without dependencies; for browsers and Node.
//
//	import { Holdfast } from "./holdfast.js";
//
//	const holdfast = new Holdfast({ url: "https://db.example.com", token });
//	holdfast.addEventListener("degraded", ({ detail }) => ...);
//	holdfast.addEventListener("healed", () => ...);
//	await holdfast.fetch("https://db.example.com/v1/execute", { method: "POST", body });
//
// or with an official libSQL client, whose requests are looked at in the same way:
//
//	createClient({ url, authToken: token, fetch: holdfast.fetch });
//
// One Holdfast watches one user.  Types and what each of them means: holdfast.d.ts.

// Where a 2xx comes from the program, which knew the user.  Elsewhere, and with any other
// status, an answer without X-Sync-Status may be nginx's or nobody's, and says nothing.
const userPaths = /^(v1\/(execute|batch|sync|sync\/resolve)|v[23]\/pipeline|v3\/cursor)$/;

// A status, and the event that tells of it.
const troubles = { __proto__: null, failed: "degraded", conflict: "conflict" };

const DOUBT_MS = 100;
const ANSWER_MS = 20_000; // nginx gives a worker 15 s

const instances = new Map();
const births = new EventTarget();

export class HoldfastError extends Error {
	constructor(status, body) {
		super(body?.message ?? `the answer is ${status}`);
		this.name = "HoldfastError";
		this.status = status;
		this.code = body?.code ?? null;
	}
}

export class Holdfast extends EventTarget {
	#base;
	#send;
	#token;
	#polls;
	#closing = new AbortController();

	// Whose answers count.  undefined: not known yet; the first answer that says
	// something decides.  What was asked before the user changed has an older epoch.
	#user;
	#epoch = 0;
	#seenAuthorization = null;

	#status = null;
	#since = null;
	#lastError = null;

	// Ticks when something is learned.  A request that went out at #asOf or later is
	// certainly newer than what is known.  One that was under way meanwhile may be
	// older, whenever it ends: if it disagrees, it only leads to a question, which
	// is settled by requests that went out at #doubt or later.
	#clock = 0;
	#asOf = 0;
	#doubt = 0;

	#timer;
	#delay;
	#hasty = false;
	#asking = false;
	#retrying = null;

	constructor({ url, token, fetch, id, poll = {} }) {
		super();
		this.#base = baseOf(url);
		this.#send = fetch ?? ((...args) => globalThis.fetch(...args));
		this.#polls = poll && { minMs: 2000, maxMs: 30_000, ...poll };
		this.#delay = this.#polls && this.#polls.minMs;
		this.token = token;
		if (this.#polls)
			this.#listen();
		if (id !== undefined) {
			instances.set(id, this);
			births.dispatchEvent(new CustomEvent(id, { detail: this }));
		}
	}

	// Calls back with the instance that has this id, now or as soon as there is one, and
	// with each later one.
	static watch(id, callback, { signal } = {}) {
		births.addEventListener(id, ({ detail }) => callback(detail), { signal });
		if (instances.has(id))
			callback(instances.get(id));
	}

	get status() {
		return this.#status;
	}

	get since() {
		return this.#since;
	}

	get lastError() {
		return this.#lastError;
	}

	// A newer token of the same user changes nothing; with another user's, nothing is known.
	set token(token) {
		this.#token = token ?? undefined;
		if (typeof token === "string")
			this.#become(userOf(`Bearer ${token}`));
		else if (this.#user !== undefined)
			this.#become(undefined);
	}

	// A field, so that it can be passed on without its object.
	fetch = async (input, init) => {
		if (this.#pathOf(input?.url ?? input) === null)
			return this.#send(input, init);
		const call = await this.#begin(input, init);
		const response = await this.#send(input, call.init);
		this.#hear(call, response, this.#statusOf(response, call));
		return response;
	};

	// Pushes now.  true: all that was committed is in the store; false: it is not.
	// Whoever asks meanwhile gets the same answer.
	retry() {
		if (this.#retrying === null) {
			this.#retrying = this.#retry().finally(() => {
				this.#retrying = null;
				this.#schedule();
			});
			this.#schedule();
		}
		return this.#retrying;
	}

	detail() {
		return this.#ask("GET");
	}

	close() {
		this.#closing.abort();
		this.#schedule();
		for (const [id, instance] of instances) {
			if (instance === this)
				instances.delete(id);
		}
	}

	// ---- what goes out

	async #begin(input, init) {
		const headers = new Headers(init?.headers ?? input?.headers);
		const own = await this.#authorization();
		let authorization = headers.get("authorization");

		if (authorization === null && own !== null) {
			authorization = own;
			headers.set("authorization", own);
			init = { ...init, headers };
		}
		return {
			init,
			authorization,
			address: input?.url ?? input,
			user: userOf(authorization),
			epoch: this.#epoch,
			began: this.#clock,
		};
	}

	// null: no token was given.
	async #authorization() {
		const token = this.#token;

		if (token === undefined)
			return null;
		const authorization = `Bearer ${typeof token === "function" ? await token() : token}`;
		if (token !== this.#token)
			return this.#authorization();
		this.#become(userOf(authorization));
		return authorization;
	}

	async #ask(method) {
		const address = new URL("v1/sync", this.#base);
		const init = { method, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) };

		if (this.#token === undefined && this.#seenAuthorization !== null)
			init.headers = { authorization: this.#seenAuthorization };
		const call = await this.#begin(address, init);
		const response = await this.#send(address, call.init);
		const body = await response.json().catch(() => null);
		let status = this.#statusOf(response, call);

		// A proxy between may hide the header, but not this.
		if (status === "ok" && body?.status in troubles)
			status = body.status;
		if (status !== null && status !== "ok" && this.#counts(call))
			this.#lastError = body?.last_error ?? this.#lastError;
		this.#hear(call, response, status);
		if (!response.ok)
			throw new HoldfastError(response.status, body);
		return body;
	}

	async #retry() {
		try {
			await this.#ask("POST");
			return true;
		} catch (error) {
			if (error.code === "SYNC_FAILED" || error.code === "SYNC_CONFLICT")
				return false;
			throw error;
		}
	}

	// ---- what comes back

	// null: not below our URL.
	#pathOf(address) {
		try {
			const url = new URL(address, globalThis.document?.baseURI);

			if (url.origin === this.#base.origin && url.pathname.startsWith(this.#base.pathname))
				return url.pathname.slice(this.#base.pathname.length);
		} catch {
			// fetch has its own words for this.
		}
		return null;
	}

	// null: the answer says nothing.
	#statusOf(response, { address }) {
		const path = this.#pathOf(response.url || address);
		const told = response.headers.get("x-sync-status");

		if (path === null)
			return null;
		if (told in troubles)
			return told;
		const json = response.headers.get("content-type")?.startsWith("application/json");
		return told === null && response.ok && json && userPaths.test(path) ? "ok" : null;
	}

	#counts({ epoch, user }) {
		return epoch === this.#epoch && (this.#user === undefined || this.#user === user);
	}

	#hear(call, response, status) {
		if (status === null || !this.#counts(call))
			return;
		this.#user = call.user;
		this.#seenAuthorization = call.authorization;
		if (call.began >= this.#asOf || status === this.#status)
			this.#learn(status, call.began);
		else
			this.#wonder();
		this.#schedule();
	}

	#learn(status, began) {
		this.#asOf = ++this.#clock;
		if (began >= this.#doubt)
			this.#doubt = 0;
		if (status !== this.#status)
			this.#change(status);
	}

	#wonder() {
		this.#doubt = ++this.#clock;
		this.#hasty = true;
	}

	#change(status) {
		const before = this.#status;

		this.#status = status;
		if (status in troubles)
			this.#since ??= new Date();
		const detail = { status, since: this.#since, lastError: this.#lastError };
		if (!(status in troubles)) {
			this.#since = null;
			this.#lastError = null;
		}
		this.#delay = this.#polls && this.#polls.minMs;
		this.#hasty = false;
		this.dispatchEvent(new CustomEvent("change", { detail }));
		if (status in troubles)
			this.dispatchEvent(new CustomEvent(troubles[status], { detail }));
		else if (status === "ok" && before in troubles)
			this.dispatchEvent(new CustomEvent("healed", { detail }));
	}

	#become(user) {
		if (this.#user === user)
			return;
		if (this.#user !== undefined)
			this.#forget();
		this.#user = user;
	}

	#forget() {
		this.#epoch++;
		this.#doubt = 0;
		this.#seenAuthorization = null;
		this.#since = null;
		this.#lastError = null;
		if (this.#status !== null)
			this.#change(null);
		this.#schedule();
	}

	// ---- asking by ourselves, while there is something to wait for

	#listen() {
		const { signal } = this.#closing;
		const hurry = () => {
			this.#delay = this.#polls.minMs;
			this.#hasty = true;
			this.#schedule();
		};

		globalThis.document?.addEventListener("visibilitychange", hurry, { signal });
		globalThis.addEventListener?.("online", hurry, { signal });
	}

	#waits() {
		const wanted = this.#doubt > 0 || this.#status in troubles;
		const busy = this.#asking || this.#retrying !== null;

		return wanted && !busy && this.#polls && !this.#closing.signal.aborted && !globalThis.document?.hidden;
	}

	#schedule() {
		clearTimeout(this.#timer);
		if (!this.#waits())
			return;
		const ms = this.#hasty ? DOUBT_MS : this.#delay * (0.75 + Math.random() / 2);
		this.#timer = setTimeout(() => this.#poll(), ms);
		this.#timer.unref?.();
	}

	async #poll() {
		this.#asking = true;
		this.#hasty = false;
		this.#delay = Math.min(this.#delay * 2, this.#polls.maxMs);
		try {
			await this.#ask("GET");
		} catch {
			// No answer, no news.  It is asked again, later each time.
		}
		this.#asking = false;
		this.#schedule();
	}
}

function baseOf(url) {
	const base = new URL(url, globalThis.document?.baseURI);

	if (!base.pathname.endsWith("/"))
		base.pathname += "/";
	return base;
}

// Tokens come and go, the user they name stays.
function userOf(authorization) {
	try {
		const payload = authorization.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
		const { sub } = JSON.parse(atob(payload));

		if (typeof sub === "string")
			return `user ${sub}`;
	} catch {
		// Not a JWT.
	}
	return `header ${authorization}`;
}
