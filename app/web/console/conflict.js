// Two servers have written to one database: both sides, and the choice between them.
// Neither is lost, and the dialog says where the other one goes.

import { announce, ask, byId, h } from "./dom.js";
import { clockText, commits } from "./words.js";

export class Conflict {
	#api;
	#watch;
	#session;
	#place = byId("conflict");
	#resolved;

	// `resolved` is called when the database may have become another one.
	constructor(api, watch, session, resolved) {
		this.#api = api;
		this.#watch = watch;
		this.#session = session;
		this.#resolved = resolved;
		this.#place.hidden = true;
		this.#place.replaceChildren();
		watch.addEventListener("change", () => this.#changed());
	}

	#changed() {
		const { state } = this.#watch;
		const isConflict = state?.status === "conflict";

		if (isConflict && this.#place.hidden) {
			this.#show();
		} else if (!isConflict && !this.#place.hidden) {
			this.#place.hidden = true;
			this.#place.replaceChildren();
			this.#resolved();
		}
		if (isConflict)
			this.#fill(state);
	}

	#show() {
		const side = (keep, title, button) => {
			const facts = h("dl", { class: "facts" });

			this[keep] = facts;
			return h(
				"div",
				{ class: "side-card" },
				h("h3", {}, title),
				facts,
				h("button", { type: "button", id: `keep-${keep}`, "aria-disabled": String(this.#session.readOnly), click: () => this.#choose(keep) }, button),
			);
		};

		this.answer = h("p", { class: "answer problem", role: "status" });
		this.#place.replaceChildren(
			h("h2", { id: "conflict-title" }, "Two servers have written to this database"),
			h("p", {}, "Reading goes on with what this server has. Writing is refused until you decide which history the database goes on with. The other one is kept."),
			h("div", { class: "sides" }, side("local", "This server", "Keep this server's"), side("remote", "The store", "Keep the store's")),
			...(this.#session.readOnly ? [h("p", { class: "note" }, "This token allows reading only, so somebody else has to decide.")] : []),
			this.answer,
		);
		this.#place.hidden = false;
		announce("Conflict: two servers have written to this database. Writing is refused until you decide which one is kept.");
	}

	#fill(state) {
		const put = (place, rows) => place.replaceChildren(...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
		const agreed = state.remote_txid;

		put(this.local, [
			["Agreed", `up to transaction ${agreed}`],
			["Since then", `${commits(state.pending_commits)} of its own`],
			["Last push", state.last_success === null ? "before the server started" : clockText(new Date(state.last_success))],
		]);
		put(this.remote, [
			["Agreed", `up to transaction ${agreed}`],
			["Since then", `another server's, from transaction ${agreed + 1} on`],
		]);
	}

	async #choose(keep) {
		const { state } = this.#watch;
		const { user } = this.#session;
		const own = commits(state.pending_commits);
		const foreign = state.remote_txid + 1;

		if (this.#session.readOnly)
			return;
		const sure = await ask(
			keep === "remote"
				? {
						title: "Go on with what the store has?",
						text: [
							`This server's database, with ${own} that the store does not have, is set aside. You find it under “Kept databases” and can download it.`,
							"The store's database takes its place. Transactions that are open here are rolled back.",
						],
						yes: "Keep the store's",
					}
				: {
						title: "Go on with what this server has?",
						text: [
							"This server's database is written to the store as a whole, behind what the other server wrote.",
							`What the other server wrote from transaction ${foreign} on leaves the database. Until the store's retention ends it can be restored by its number: holdfast restore ${user} --txid ${foreign}.`,
						],
						yes: "Keep this server's",
					},
		);
		if (!sure)
			return;
		this.answer.textContent = "Working on it…";
		try {
			this.#watch.take(await this.#api.resolve(keep));
			announce("The conflict is resolved.");
			byId("sql").focus();
		} catch (error) {
			this.answer.textContent = error.message;
		}
		this.#watch.wrote();
	}
}
