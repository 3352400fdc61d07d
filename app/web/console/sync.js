// Where the database stands, watched from outside: GET /v1/sync now and then, often
// while something is on its way and seldom when nothing is.  Never while the page is
// hidden.  The server answers it from memory; the store is not asked.
//
//	const watch = new SyncWatch(api);
//	watch.addEventListener("change", ...)	the state, its events or the trouble are new
//	watch.start();
//	watch.wrote();				a run may have committed: look closely
//	watch.stop();
//
// Pushes are seen by comparing two looks, so of several in between only the last has
// a duration.

const idleMs = 5000;
const eventsMax = 200;
export const windowMs = 5 * 60 * 1000;

// What happened between two answers of GET /v1/sync; `before` may be null.
export function eventsBetween(before, now, at) {
	const events = [];

	if (before === null) {
		const last = now.last_success === null ? 0 : Date.parse(now.last_success);

		if (now.last_push_ms !== null && at - last < windowMs)
			events.push({
				kind: "stored",
				at: Math.min(last, at),
				ms: now.last_push_ms,
				txid: now.remote_txid,
				pushes: 1,
			});
		return events;
	}
	// Counts start again with the server.
	const pushed = now.last_push_ms !== null && now.last_success !== before.last_success;
	if (pushed && now.remote_txid > before.remote_txid) {
		events.push({
			kind: "stored",
			at,
			ms: now.last_push_ms,
			txid: now.remote_txid,
			pushes: now.remote_txid - before.remote_txid,
		});
	}
	if (now.failed_attempts > before.failed_attempts)
		events.push({
			kind: "failed",
			at,
			error: now.last_error,
			attempts: now.failed_attempts,
		});
	if (now.status === "conflict" && before.status !== "conflict")
		events.push({ kind: "conflict", at });
	if (now.status === "ok" && before.status === "failed")
		events.push({ kind: "healed", at });
	if (now.status !== "conflict" && before.status === "conflict")
		events.push({ kind: "resolved", at });
	return events;
}

export class SyncWatch extends EventTarget {
	state = null;
	trouble = null; // why the latest question had no answer: an ApiError
	stateAt = 0; // when `state` was asked
	events = []; // oldest first
	phases = []; // { status, from, to }: what was not ok or on its way, for how long
	#api;
	#timer = 0;
	#eager = 0; // looks since the last write
	#looking = null;
	#stopped = true;

	constructor(api) {
		super();
		this.#api = api;
	}

	start() {
		this.#stopped = false;
		document.addEventListener("visibilitychange", this.#shown);
		return this.look();
	}

	stop() {
		this.#stopped = true;
		clearTimeout(this.#timer);
		document.removeEventListener("visibilitychange", this.#shown);
	}

	wrote() {
		this.#eager = 0;
		this.look();
	}

	// One at a time; who asks meanwhile gets one that begins afterwards.
	async look() {
		if (this.#stopped)
			return;
		if (this.#looking) {
			this.#looking.again = true;
			return;
		}
		const looking = (this.#looking = { again: false });
		clearTimeout(this.#timer);
		try {
			this.take(await this.#api.syncState());
		} catch (error) {
			this.trouble = error;
			this.dispatchEvent(new Event("change"));
		}
		this.#looking = null;
		if (looking.again)
			this.look();
		else if (!this.#stopped && !document.hidden)
			this.#timer = setTimeout(() => this.look(), this.#pace());
	}

	// An answer of GET /v1/sync, or of another request that has the same one.
	take(now) {
		const at = Date.now();
		const open = this.phases.at(-1);

		this.events.push(...eventsBetween(this.state, now, at));
		this.events.splice(0, this.events.length - eventsMax);
		if (open && open.to === null && open.status !== now.status)
			open.to = at;
		if (["failed", "conflict"].includes(now.status) && (!open || open.to !== null)) {
			const since =
				this.state === null && now.failed_since !== null
					? Date.parse(now.failed_since)
					: at;

			this.phases.push({
				status: now.status,
				from: Math.min(since, at),
				to: null,
			});
		}
		this.phases = this.phases.filter(({ to }) => to === null || at - to < windowMs);
		this.state = now;
		this.stateAt = at;
		this.trouble = null;
		this.dispatchEvent(new Event("change"));
	}

	#pace() {
		const { status, next_attempt_ms: next } = this.state ?? {};

		this.#eager++;
		if (this.trouble !== null)
			return 2000;
		if (status === "dirty" || this.#eager <= 2)
			return Math.min(60 * 1.6 ** this.#eager, 1000);
		if (status === "failed")
			return Math.min(Math.max(next + 150, 400), 2000);
		return idleMs;
	}

	#shown = () => {
		if (!document.hidden)
			this.look();
	};
}
