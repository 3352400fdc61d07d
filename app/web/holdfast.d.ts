// "failed": safe on the server, but behind in the store, and being retried.
// "conflict": another server has written to the same database; writes are refused.
export type SyncStatus = "ok" | "failed" | "conflict";

export interface HoldfastOptions {
	// Where Holdfast is.  Requests elsewhere are passed on and not looked at.
	url: string | URL;
	// Of the user to be watched; or what gives it, called before each request, so that it
	// can fetch a new one.  Requests below `url` without an Authorization get it; those
	// with another user's are not looked at.  Without one, the first answer that tells
	// something decides who the user is, and questions of our own go out as those requests did.
	token?: string | (() => string | Promise<string>) | null;
	// Instead of the global one.
	fetch?: typeof globalThis.fetch;
	// For <holdfast-banner for="...">.
	id?: string;
	// How often to ask, while there is trouble and the page is visible: first after
	// minMs (2000), then less and less often, up to every maxMs (30000).  false: never.
	poll?: { minMs?: number; maxMs?: number } | false;
}

export interface SyncEventDetail {
	// null: another user is watched now.
	status: SyncStatus | null;
	// When the trouble was first heard of, by this machine's clock; of a trouble
	// that has ended, too.  null: there was none.
	since: Date | null;
	// `last_error` of the server, once it has been asked.
	lastError: string | null;
}

// What GET /v1/sync answers.
export interface SyncDetail {
	status: "ok" | "dirty" | "failed" | "conflict";
	pending_commits: number;
	local_commits: number;
	remote_commits: number;
	remote_txid: number;
	last_error: string | null;
	failed_attempts: number;
	failed_since: string | null;
	next_attempt_ms: number | null;
	last_success: string | null;
	last_push_ms: number | null;
	kept: { name: string; bytes: number }[];
}

// An answer that was an error; requests that got none fail as fetch does.
export class HoldfastError extends Error {
	readonly status: number;
	readonly code: string | null;
}

export interface HoldfastEventMap {
	// The status has become "failed"; "conflict"; "ok" after one of these.
	degraded: CustomEvent<SyncEventDetail>;
	conflict: CustomEvent<SyncEventDetail>;
	healed: CustomEvent<SyncEventDetail>;
	// Before each of these, and when the first status is known, or the user changes.
	change: CustomEvent<SyncEventDetail>;
}

export class Holdfast extends EventTarget {
	constructor(options: HoldfastOptions);

	static watch(id: string, callback: (holdfast: Holdfast) => void, options?: { signal?: AbortSignal }): void;

	// null: nothing is known yet.
	readonly status: SyncStatus | null;
	readonly since: Date | null;
	readonly lastError: string | null;
	set token(token: HoldfastOptions["token"]);

	// To be used like the global one, and to be handed to clients.
	readonly fetch: typeof globalThis.fetch;
	// POST /v1/sync: true if all that was committed before is in the store, false if the
	// server says that it is not.  Other answers are a HoldfastError.
	retry(): Promise<boolean>;
	// GET /v1/sync.
	detail(): Promise<SyncDetail>;
	// No more questions of our own; answers are still looked at.
	close(): void;

	addEventListener<K extends keyof HoldfastEventMap>(
		type: K,
		listener: ((event: HoldfastEventMap[K]) => void) | { handleEvent(event: HoldfastEventMap[K]): void } | null,
		options?: boolean | AddEventListenerOptions,
	): void;
	addEventListener(
		type: string,
		listener: EventListenerOrEventListenerObject | null,
		options?: boolean | AddEventListenerOptions,
	): void;
	removeEventListener<K extends keyof HoldfastEventMap>(
		type: K,
		listener: ((event: HoldfastEventMap[K]) => void) | { handleEvent(event: HoldfastEventMap[K]): void } | null,
		options?: boolean | EventListenerOptions,
	): void;
	removeEventListener(
		type: string,
		listener: EventListenerOrEventListenerObject | null,
		options?: boolean | EventListenerOptions,
	): void;
}
