// The pane beside the editor: the sync state as a picture, in words and over time, and
// what a user can do about it: push now, download the database, fetch what was kept.

import { byId, h, save } from "./dom.js";
import { animatePush, drawLink, drawTimeline } from "./picture.js";
import { sizeText } from "./values.js";
import { clockText, commits, errorText, statusWords } from "./words.js";

const linesShown = 6;

function eventText(event) {
	switch (event.kind) {
	case "stored": {
		const more = event.pushes > 1 ? ` (${event.pushes} pushes)` : "";
		return `Transaction ${event.txid} stored${event.ms === null ? "" : ` in ${event.ms.toLocaleString("en")} ms`}${more}`;
	}
	case "failed": {
		const attempts = event.first < event.attempts ? `Attempts ${event.first} to ${event.attempts}` : `Attempt ${event.attempts}`;
		return `${attempts} failed. ${errorText[event.error] ?? ""}`;
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
			lines.unshift(event.kind === "failed" ? { ...event, first: event.attempts } : event);
	}
	return lines.slice(0, linesShown);
}

// kept/<ms since the epoch>.sqlite
function keptDate(name) {
	const ms = Number.parseInt(name, 10);
	return Number.isFinite(ms) ? clockText(new Date(ms)) : name;
}

export class SyncView {
	#api;
	#watch;
	#user;
	#shownState = "unknown";
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
		this.picture = h("div", { class: "picture" });
		this.title = h("p", { class: "sync-title" });
		this.text = h("p", { class: "sync-text" });
		this.facts = h("dl", { class: "facts" });
		this.push = h("button", { type: "button", id: "push-now", click: () => this.#pushNow() }, "Push now");
		this.download = h("button", { type: "button", id: "download", click: () => this.#export() }, "Download");
		this.answer = h("p", { class: "answer", id: "sync-answer", role: "status" });
		this.timeline = h("div", { class: "picture" });
		this.events = h("ol", { class: "events" });
		this.kept = h("ul", { class: "kept" });
		this.keptPart = h("section", { id: "kept", hidden: true }, h("h3", {}, "Kept databases"), h("p", { class: "note" }, "They lost a conflict and stay on the server until its operator removes them."), this.kept);
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
		const watch = this.#watch;
		const words = statusWords(watch);
		const latest = watch.events.at(-1)?.at ?? 0;
		const isFirst = this.#shownState === "unknown";

		drawLink(this.picture, watch, words);
		if (!isFirst && watch.events.some((event) => event.kind === "stored" && event.at > this.#seen))
			animatePush(this.picture);
		this.#seen = latest;
		byId("badge").dataset.state = words.state;
		byId("badge-text").textContent = words.badge;
		this.title.textContent = words.title;
		this.text.textContent = words.text;
		// Every push would be too much to listen to; what needs somebody is not.
		if (words.state !== this.#shownState && !isFirst && !["dirty"].includes(words.state) && !(words.state === "ok" && this.#shownState === "dirty"))
			this.loud.textContent = `${words.title}. ${words.text}`;
		if (words.state !== "unknown")
			this.#shownState = words.state;
		if (watch.state !== null)
			this.#showKept(watch.state.kept);
		this.events.replaceChildren(
			...(watch.events.length === 0 ? [h("li", { class: "note" }, "None since this page was opened.")] : []),
			...summary(watch.events).map((event) =>
				h("li", { class: event.kind }, h("time", { datetime: new Date(event.at).toISOString() }, clockText(new Date(event.at))), h("span", {}, eventText(event))),
			),
		);
		this.#tick();
	};

	#tick() {
		const { state, stateAt } = this.#watch;
		const rows = [];

		drawTimeline(this.timeline, this.#watch, Date.now());
		if (state === null)
			return;
		if (state.pending_commits > 0)
			rows.push(["Waiting", commits(state.pending_commits)]);
		if (state.last_success !== null)
			rows.push(["Last push", `${clockText(new Date(state.last_success))}${state.last_push_ms === null ? "" : `, ${state.last_push_ms.toLocaleString("en")} ms`}`]);
		if (state.failed_since !== null)
			rows.push(["Failing since", clockText(new Date(state.failed_since))]);
		if (state.failed_attempts > 0)
			rows.push(["Failed attempts", state.failed_attempts.toLocaleString("en")]);
		if (state.next_attempt_ms !== null) {
			const left = Math.ceil((stateAt + state.next_attempt_ms - Date.now()) / 1000);

			rows.push(["Next attempt", left > 0 ? `in ${left} s` : "now"]);
		}
		this.facts.replaceChildren(...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
	}

	#showKept(kept) {
		const names = kept.map((k) => k.name).join();

		this.keptPart.hidden = kept.length === 0;
		if (this.kept.dataset.names === names)
			return;
		this.kept.dataset.names = names;
		this.kept.replaceChildren(
			...kept.map(({ name, bytes }) => {
				const button = h("button", { type: "button", class: "small", "aria-label": `Download ${name}`, click: () =>
					this.#fetch(button, () => this.#api.kept(name), `${this.#user}-kept-${name}`) }, "Download");

				return h("li", {}, h("span", {}, keptDate(name)), h("span", { class: "note" }, sizeText(bytes)), button);
			}),
		);
	}

	#say(text, isBad = false) {
		this.answer.textContent = text;
		this.answer.classList.toggle("problem", isBad);
	}

	// aria-disabled and not disabled: the focus stays where it is.
	async #during(button, action) {
		if (button.getAttribute("aria-disabled") === "true")
			return;
		button.setAttribute("aria-disabled", "true");
		try {
			await action();
		} finally {
			button.removeAttribute("aria-disabled");
		}
	}

	#pushNow() {
		return this.#during(this.push, async () => {
			this.#say("Pushing…");
			try {
				this.#watch.take(await this.#api.pushNow());
				this.#say("Everything that was committed is in the store.");
			} catch (error) {
				this.#say(`${error.message[0].toUpperCase()}${error.message.slice(1)}.`.replace(/\.\.$/, "."), true);
				this.#watch.wrote();
			}
		});
	}

	#export() {
		return this.#fetch(this.download, () => this.#api.export(), `${this.#user}.sqlite`);
	}

	#fetch(button, request, name) {
		return this.#during(button, async () => {
			this.#say("Fetching…");
			try {
				const blob = await request();

				save(name, blob);
				this.#say(`${name} (${sizeText(blob.size)}) is in your downloads.`);
			} catch (error) {
				const isMissing = error.status === 404 && button === this.download;

				this.#say(isMissing ? "This server cannot export a database yet: it has no GET /v1/export." : error.message, true);
			}
		});
	}
}
