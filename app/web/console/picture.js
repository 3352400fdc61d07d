// Two pictures of the sync state: this server and the store with what is between them,
// and the pushes of the last minutes.  Both have their content in words beside them, so
// for screen readers each is one image with a name.

import { svg } from "./dom.js";
import { windowMs } from "./sync.js";
import { commits } from "./words.js";

const wire = { from: 98, to: 202, y: 48 };
const dotsMax = 8;

function node(x, title, number, unit) {
	return svg(
		"g",
		{ class: "node", transform: `translate(${x} 10)` },
		svg("rect", { width: 94, height: 76, rx: 10 }),
		svg("text", { x: 47, y: 21, class: "node-title" }, title),
		svg("text", { x: 47, y: 48, class: "node-number" }, number),
		svg("text", { x: 47, y: 65, class: "node-unit" }, unit),
	);
}

function link(state, waiting) {
	const { from, to, y } = wire;
	const middle = (from + to) / 2;
	const parts = [svg("line", { x1: from, y1: y, x2: to, y2: y, class: "wire" })];
	const signs = {
		conflict: "m-6 -2.5h12m-12 5h12m-3.5 -7.5l-5 10",
		failed: "m-4 -4l8 8m0 -8l-8 8",
		unreachable: "m-4 -4l8 8m0 -8l-8 8",
	};

	if (state in signs) {
		parts.push(svg("circle", { cx: middle + 26, cy: y, r: 11, class: "stop" }));
		parts.push(svg("path", { d: `M${middle + 26} ${y}${signs[state]}`, class: "cross" }));
	} else if (state === "ok") {
		parts.push(svg("circle", { cx: middle, cy: y, r: 11, class: "stop" }));
		parts.push(svg("path", { d: `M${middle - 5} ${y}l3.5 4l6.5 -8`, class: "tick" }));
	}
	const top = waiting > 4 ? y - 5.5 : y;
	for (let i = 0; i < Math.min(waiting, dotsMax); i++) {
		const place = { cx: from + 9 + (i % 4) * 11, cy: top + Math.floor(i / 4) * 11 };

		parts.push(svg("circle", { ...place, r: 4.5, class: "waiting" }));
	}
	if (waiting > 0) {
		const text = `${waiting.toLocaleString("en")} ${waiting === 1 ? "waits" : "wait"}`;

		parts.push(svg("text", { x: from + 4, y: y + 27, class: "wire-text" }, text));
	}
	return svg("g", { class: `link ${state}` }, parts);
}

function linkName({ state }, words) {
	if (state === null)
		return words.title;
	const here = `This server: ${commits(state.local_commits)} since it started.`;
	const there = `The store: ${state.remote_commits}, up to transaction ${state.remote_txid}.`;
	return `${words.title}. ${here} ${there}`;
}

// `words` is what statusWords() gave.  Drawn anew only when it says something else: what
// moves in it would begin again.
export function drawLink(place, watch, words) {
	const { local_commits: local = 0, remote_commits: remote = 0 } = watch.state ?? {};
	const name = linkName(watch, words);
	const says = `${words.state} ${name}`;

	if (place.dataset.says === says)
		return;
	place.dataset.says = says;
	if (place.firstChild === null) {
		const moving = { cx: wire.from, cy: wire.y, r: 5, class: "moving", opacity: 0 };

		place.append(
			svg("svg", { viewBox: "0 0 300 96", role: "img" }, svg("g"), svg("circle", moving)),
		);
	}
	place.firstChild.setAttribute("aria-label", name);
	place.firstChild.firstChild.replaceChildren(
		node(2, "This server", local.toLocaleString("en"), local === 1 ? "commit" : "commits"),
		node(
			204,
			"Store",
			remote.toLocaleString("en"),
			watch.state ? `transaction ${watch.state.remote_txid}` : "",
		),
		link(words.state, watch.state?.pending_commits ?? 0),
	);
}

// A push was seen: something goes over.
export function animatePush(place) {
	const dot = place.querySelector(".moving");

	if (!dot || matchMedia("(prefers-reduced-motion: reduce)").matches)
		return;
	const length = wire.to - wire.from;

	dot.animate(
		[
			{ transform: "translateX(0)", opacity: 1 },
			{ transform: `translateX(${length}px)`, opacity: 1, offset: 0.9 },
			{ transform: `translateX(${length}px)`, opacity: 0 },
		],
		{ duration: 650, easing: "ease-in-out" },
	);
}

// ---- pushes over time: how long each took, upwards by powers of ten

const chart = { left: 42, right: 294, top: 8, bottom: 70 };
const levels = [
	[10, "10 ms"],
	[100, "100 ms"],
	[1000, "1 s"],
	[10000, "10 s"],
];

function heightOf(ms) {
	const part = Math.log10(Math.max(ms, 1)) / 4;

	return chart.bottom - Math.max(2, Math.min(1, part) * (chart.bottom - chart.top));
}

const line = (kind, x1, y1, x2, y2) => svg("line", { class: kind, x1, y1, x2, y2 });
const label = (kind, x, y, text) => svg("text", { class: kind, x, y }, text);

function axes() {
	const { left, right, bottom } = chart;

	return [
		...levels.flatMap(([ms, text]) => [
			line("grid", left, heightOf(ms), right, heightOf(ms)),
			label("end", left - 4, heightOf(ms) + 3, text),
		]),
		line("ground", left, bottom, right, bottom),
		label("start", left, bottom + 14, "5 min ago"),
		label("end", right, bottom + 14, "now"),
	];
}

export function drawTimeline(place, watch, now) {
	const { left, right, top, bottom } = chart;
	const xOf = (at) => Math.max(left, right - ((now - at) / windowMs) * (right - left));
	const recent = watch.events.filter((event) => now - event.at < windowMs);
	const stored = recent.filter((event) => event.kind === "stored");
	const failed = recent.filter((event) => event.kind === "failed");

	const phases = watch.phases.map(({ status, from, to }) => {
		const x = xOf(from);
		const width = Math.max(1, xOf(to ?? now) - x);

		return svg("rect", { x, y: top, width, height: bottom - top, class: `phase ${status}` });
	});
	const pushes = stored.flatMap(({ at, ms }) => [
		line("stored", xOf(at), bottom, xOf(at), heightOf(ms)),
		svg("circle", { cx: xOf(at), cy: heightOf(ms), r: 2.5, class: "stored" }),
	]);
	const failures = failed.map(({ at }) =>
		svg("path", { d: `M${xOf(at) - 3} ${bottom - 9}l6 6m0 -6l-6 6`, class: "failure" }),
	);
	const about = {
		viewBox: "0 0 300 90",
		class: "timeline",
		role: "img",
		"aria-label": `The last 5 minutes: ${stored.length} pushes, ${failed.length} failures.`,
	};

	place.replaceChildren(svg("svg", about, phases, axes(), pushes, failures));
}
