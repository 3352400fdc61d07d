// What was run, newest first: kept in this browser's localStorage, apart for each user,
// searchable, and gone when its user says so.
//
//	const history = new History(user, { load });	load(sql): somebody has chosen it
//	history.add(sql, ok);
//	history.older(text), history.newer(text)	as a shell's arrow keys: SQL, or null

import { ask, button, byId, h } from "./dom.js";
import { plural } from "./words.js";

const entriesMax = 200;
const lengthMax = 20000;

export class History {
	#key;
	#entries;
	#actions;
	#place = byId("history-list");
	#search = byId("history-search");
	#recalled = -1; // -1: what is being written
	#draft = "";

	constructor(user, actions) {
		this.#key = `holdfast.history.${user}`;
		this.#actions = actions;
		this.#read();
		this.#search.value = "";
		this.#search.oninput = () => this.#show();
		this.#search.onkeydown = (event) => {
			if (event.key === "ArrowDown") {
				event.preventDefault();
				this.#place.querySelector(".entry")?.focus();
			}
		};
		this.#place.onkeydown = (event) => this.#pressed(event);
		byId("history-clear").onclick = () => this.#clear();
		this.#show();
	}

	add(sql, ok) {
		this.#recalled = -1;
		if (sql.length > lengthMax)
			return;
		// Another tab may have added to it.
		this.#read();
		this.#entries = [
			{ sql, ok, at: Date.now() },
			...this.#entries.filter((entry) => entry.sql !== sql),
		];
		this.#entries.length = Math.min(this.#entries.length, entriesMax);
		this.#write();
		this.#show();
	}

	older(text) {
		if (this.#recalled + 1 >= this.#entries.length)
			return null;
		if (this.#recalled < 0)
			this.#draft = text;
		this.#recalled++;
		// What was run last and is still there need not be offered.
		if (this.#recalled === 0 && this.#entries[0].sql === text)
			return this.older(text);
		return this.#entries[this.#recalled].sql;
	}

	newer() {
		if (this.#recalled < 0)
			return null;
		this.#recalled--;
		return this.#recalled < 0 ? this.#draft : this.#entries[this.#recalled].sql;
	}

	#read() {
		try {
			this.#entries = JSON.parse(localStorage.getItem(this.#key)) ?? [];
		} catch {
			this.#entries ??= [];
		}
	}

	// Forbidden or full storage: the history lasts as long as the page.
	#write() {
		try {
			localStorage.setItem(this.#key, JSON.stringify(this.#entries));
		} catch {}
	}

	#show() {
		const wanted = this.#search.value.toLowerCase();
		const shown = this.#entries.filter((entry) =>
			entry.sql.toLowerCase().includes(wanted),
		);

		if (shown.length === 0) {
			const what =
				this.#entries.length === 0
					? "Nothing has been run yet."
					: "Nothing like that has been run.";

			this.#place.replaceChildren(h("p", { class: "empty" }, what));
			return;
		}
		this.#place.replaceChildren(
			h(
				"ul",
				{ class: "entries" },
				shown.map((entry) => this.#entry(entry)),
			),
		);
	}

	#entry(entry) {
		const at = new Date(entry.at);
		const time = h("time", { datetime: at.toISOString() }, timeText(at));
		const oneLine = entry.sql.replace(/\s+/g, " ").slice(0, 160);
		const lines = [
			h("code", {}, oneLine),
			h("span", { class: "note" }, entry.ok ? "" : "failed, ", time),
		];
		const about = { class: "entry", title: entry.sql.slice(0, 1000) };
		const removing = { class: "remove", "aria-label": `Remove ${oneLine.slice(0, 40)}` };

		return h(
			"li",
			{},
			button(lines, about, () => this.#actions.load(entry.sql)),
			button("×", removing, () => this.#remove(entry)),
		);
	}

	#pressed(event) {
		const entries = [...this.#place.querySelectorAll(".entry")];
		const at = entries.indexOf(document.activeElement);

		if (at < 0)
			return;
		if (event.key === "ArrowDown")
			entries[at + 1]?.focus();
		else if (event.key === "ArrowUp")
			(entries[at - 1] ?? this.#search).focus();
		else if (event.key === "Delete")
			entries[at].nextElementSibling.click();
		else
			return;
		event.preventDefault();
	}

	#remove(entry) {
		const at = [...this.#place.querySelectorAll("li")].findIndex((li) =>
			li.contains(document.activeElement),
		);

		this.#entries = this.#entries.filter((other) => other !== entry);
		this.#recalled = -1;
		this.#write();
		this.#show();
		// The focus goes to what has moved up, not to the top of the page.
		const left = this.#place.querySelectorAll(".entry");
		(left[Math.min(at, left.length - 1)] ?? this.#search).focus();
	}

	async #clear() {
		const what = `${plural(this.#entries.length, "statement")} in this browser's list.`;

		if (this.#entries.length === 0)
			return;
		const sure = await ask({
			title: "Clear the history?",
			text: [`${what} The database is not touched.`],
			yes: "Clear",
		});

		if (!sure)
			return;
		this.#entries = [];
		this.#recalled = -1;
		this.#write();
		this.#show();
	}
}

function timeText(at) {
	const today = new Date().toDateString() === at.toDateString();

	return at.toLocaleString(
		"en-GB",
		today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" },
	);
}
