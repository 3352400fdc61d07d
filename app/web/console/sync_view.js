// The pane beside the editor: the sync state as a picture, in words and over time, and
// what a user can do about it: push now, download the database, fetch what was kept.

import { button, byId, describe, h, save } from "./dom.js";
import { animatePush, drawLink, drawTimeline } from "./picture.js";
import { sizeText } from "./values.js";
import { clockText, commits, errorText, statusWords } from "./words.js";

const linesShown = 6;

function eventText(event) {
	switch (event.kind) {
	case "stored": {
		const more = event.pushes > 1 ? ` (${event.pushes} pushes)` : "";
		return `Transaction ${event.txid} stored in ${event.ms.toLocaleString("en")} ms${more}`;
	}
	case "failed": {
		const { first, attempts } = event;
		const which = first < attempts ? `Attempts ${first} to` : "Attempt";
		return `${which} ${attempts} failed. ${errorText[event.error] ?? ""}`;
	}
	case "healed":
		return "Caught up";
	case "conflict":
		return errorText.conflict;
	case "resolved":
		return "The conflict is resolved";
	}
}

// Newest first; failures in a row, for the same reason, are one line.
function summary(events) {
	const lines = [];

	for (const event of events) {
		const last = lines[0];

		if (event.kind === "failed" && last?.kind === "failed" && last.error === event.error)
			lines[0] = { ...event, first: last.first };
		else
			lines.unshift({ ...event, first: event.attempts });
	}
	return lines.slice(0, linesShown);
}

// kept/<ms since the epoch>.sqlite
function keptDate(name) {
	const ms = Number.parseInt(name, 10);
	return Number.isFinite(ms) ? clockText(new Date(ms)) : name;
}

// Every push would be too much to listen to; what needs somebody is not.
function isWorthSaying(before, now) {
	return now !== before && now !== "dirty" && !(now === "ok" && before === "dirty");
}

export class SyncView {
	#api;
	#watch;
	#user;
	#shown = "unknown"; // the state
	#seen = 0; // of watch.events, by the time of the last
	#timer;

	constructor(api, watch, user) {
		this.#api = api;
		this.#watch = watch;
		this.#user = user;
		this.#build();
		watch.addEventListener("change", this.#changed);
		// What moves with the clock: the timeline and the countdown.
		this.#timer = setInterval(() => document.hidden || this.#tick(), 1000);
		this.#changed();
	}

	close() {
		clearInterval(this.#timer);
		this.#watch.removeEventListener("change", this.#changed);
	}

	#build() {
		const loss = "They lost a conflict and stay on the server until its operator removes them.";

		this.picture = h("div", { class: "picture" });
		this.title = h("p", { class: "sync-title" });
		this.text = h("p", { class: "sync-text" });
		this.facts = h("dl", { class: "facts" });
		this.push = button("Push now", {}, () => this.#pushNow());
		this.download = button("Download", {}, () => this.#export());
		this.answer = h("p", { class: "answer", id: "sync-answer", role: "status" });
		this.timeline = h("div", { class: "picture" });
		this.events = h("ol", { class: "events" });
		this.kept = h("ul", { class: "kept" });
		this.keptPart = h(
			"section",
			{ id: "kept", hidden: true },
			h("h3", {}, "Kept databases"),
			h("p", { class: "note" }, loss),
			this.kept,
		);
		this.loud = h("p", { class: "sr", role: "status" });
		byId("sync-body").replaceChildren(
			this.picture,
			this.title,
			this.text,
			h("div", { class: "actions" }, this.push, this.download),
			this.answer,
			this.facts,
			h("h3", {}, "Pushes"),
			this.timeline,
			this.events,
			this.keptPart,
			this.loud,
		);
	}

	#changed = () => {
		const { events, state } = this.#watch;
		const words = statusWords(this.#watch);
		const isFirst = this.#shown === "unknown";

		drawLink(this.picture, this.#watch, words);
		if (!isFirst && events.some(({ kind, at }) => kind === "stored" && at > this.#seen))
			animatePush(this.picture);
		this.#seen = events.at(-1)?.at ?? 0;
		byId("badge").dataset.state = words.state;
		byId("badge-text").textContent = words.badge;
		this.title.textContent = words.title;
		this.text.textContent = words.text;
		if (!isFirst && isWorthSaying(this.#shown, words.state))
			this.loud.textContent = `${words.title}. ${words.text}`;
		this.#shown = words.state;
		if (state !== null)
			this.#showKept(state.kept);
		this.#showEvents(events);
		this.#tick();
	};

	#showEvents(events) {
		const line = (event) => {
			const at = new Date(event.at);
			const time = h("time", { datetime: at.toISOString() }, clockText(at));

			return h("li", { class: event.kind }, time, h("span", {}, eventText(event)));
		};

		this.events.replaceChildren(...summary(events).map(line));
		if (events.length === 0)
			this.events.append(h("li", { class: "note" }, "None since this page was opened."));
	}

	#tick() {
		const { state, stateAt } = this.#watch;
		const rows = [];

		drawTimeline(this.timeline, this.#watch, Date.now());
		if (state === null)
			return;
		if (state.pending_commits > 0)
			rows.push(["Waiting", commits(state.pending_commits)]);
		if (state.last_success !== null) {
			const when = clockText(new Date(state.last_success));

			rows.push(["Last push", `${when}, ${state.last_push_ms.toLocaleString("en")} ms`]);
		}
		if (state.failed_since !== null)
			rows.push(["Failing since", clockText(new Date(state.failed_since))]);
		if (state.failed_attempts > 0)
			rows.push(["Failed attempts", state.failed_attempts.toLocaleString("en")]);
		if (state.next_attempt_ms !== null) {
			const left = Math.ceil((stateAt + state.next_attempt_ms - Date.now()) / 1000);

			rows.push(["Next attempt", left > 0 ? `in ${left} s` : "now"]);
		}
		describe(this.facts, rows);
	}

	#showKept(kept) {
		const names = kept.map((k) => k.name).join();

		this.keptPart.hidden = kept.length === 0;
		// Made anew only when it is another list: somebody may have the focus in it.
		if (this.kept.dataset.names === names)
			return;
		this.kept.dataset.names = names;
		this.kept.replaceChildren(...kept.map((database) => this.#keptLine(database)));
	}

	#keptLine({ name, bytes }) {
		const about = { class: "small", "aria-label": `Download ${name}` };
		const download = button("Download", about, () =>
			this.#fetch(download, () => this.#api.kept(name), `${this.#user}-kept-${name}`),
		);
		const size = h("span", { class: "note" }, sizeText(bytes));

		return h("li", {}, h("span", {}, keptDate(name)), size, download);
	}

	#say(text, isBad = false) {
		this.answer.textContent = text;
		this.answer.classList.toggle("problem", isBad);
	}

	// aria-disabled and not disabled: the focus stays where it is.
	async #during(pressed, action) {
		if (pressed.getAttribute("aria-disabled") === "true")
			return;
		pressed.setAttribute("aria-disabled", "true");
		try {
			await action();
		} finally {
			pressed.removeAttribute("aria-disabled");
		}
	}

	#pushNow() {
		return this.#during(this.push, async () => {
			this.#say("Pushing…");
			try {
				this.#watch.take(await this.#api.pushNow());
				this.#say("Everything that was committed is in the store.");
			} catch (error) {
				this.#say(error.message, true);
				this.#watch.wrote();
			}
		});
	}

	#export() {
		return this.#fetch(this.download, () => this.#api.export(), `${this.#user}.sqlite`);
	}

	#fetch(from, request, name) {
		return this.#during(from, async () => {
			this.#say("Fetching…");
			try {
				const blob = await request();

				save(name, blob);
				this.#say(`${name} (${sizeText(blob.size)}) is in your downloads.`);
			} catch (error) {
				this.#say(error.message, true);
			}
		});
	}
}
