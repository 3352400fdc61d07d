// Two servers have written to one database: both sides, and the choice between them.
// Neither is lost, and the dialog says where the other one goes.

import { announce, ask, button, byId, describe, h } from "./dom.js";
import { clockText, commits } from "./words.js";

const rule =
	"Reading goes on with what this server has. Writing is refused until you decide which " +
	"history the database goes on with. The other one is kept.";
const notYours = "This token allows reading only, so somebody else has to decide.";

// What happens to both, before it does.
function question(keep, state, user) {
	const own = commits(state.pending_commits);
	const foreign = state.remote_txid + 1;

	if (keep === "remote") {
		return {
			title: "Go on with what the store has?",
			text: [
				`This server's database, with ${own} that the store does not have, is set ` +
					"aside. You find it under “Kept databases” and can download it.",
				"The store's database takes its place. Transactions that are open here are " +
					"rolled back.",
			],
			yes: "Keep the store's",
		};
	}
	return {
		title: "Go on with what this server has?",
		text: [
			"This server's database is written to the store as a whole, behind what the other " +
				"server wrote.",
			`What the other server wrote from transaction ${foreign} on leaves the database. ` +
				"Until the store's retention ends it can be restored by its number: " +
				`holdfast restore ${user} --txid ${foreign}.`,
		],
		yes: "Keep this server's",
	};
}

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
		this.answer = h("p", { class: "answer problem", role: "status" });
		this.#place.replaceChildren(
			h("h2", { id: "conflict-title" }, "Two servers have written to this database"),
			h("p", {}, rule),
			h(
				"div",
				{ class: "sides" },
				this.#side("local", "This server", "Keep this server's"),
				this.#side("remote", "The store", "Keep the store's"),
			),
			h("p", { class: "note", hidden: !this.#session.readOnly }, notYours),
			this.answer,
		);
		this.#place.hidden = false;
		announce(`Conflict: two servers have written to this database. ${rule}`);
	}

	#side(keep, title, choice) {
		const about = { "aria-disabled": String(this.#session.readOnly) };

		this[keep] = h("dl", { class: "facts" });
		return h(
			"div",
			{ class: "side-card" },
			h("h3", {}, title),
			this[keep],
			button(choice, about, () => this.#choose(keep)),
		);
	}

	#fill(state) {
		const agreed = ["Agreed", `up to transaction ${state.remote_txid}`];
		const last = state.last_success;

		describe(this.local, [
			agreed,
			["Since then", `${commits(state.pending_commits)} of its own`],
			["Last push", last === null ? "before the server started" : clockText(new Date(last))],
		]);
		describe(this.remote, [
			agreed,
			["Since then", `another server's, from transaction ${state.remote_txid + 1} on`],
		]);
	}

	async #choose(keep) {
		if (this.#session.readOnly)
			return;
		const sure = await ask(question(keep, this.#watch.state, this.#session.user));

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
