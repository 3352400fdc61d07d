// What came of a run: for each statement, in their order, its rows, its effect or its
// error.  Rows are shown a page at a time; copies and downloads have all of them.

import { announce, byId, h, save } from "./dom.js";
import { tokens } from "./sql.js";
import { bytesOf, cellText, csv, dump, fullText, sizeText, tsv } from "./values.js";

const pageRows = 100;

const plural = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

const msText = (ms) => (ms < 0.05 ? "< 0.1 ms" : ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms >= 10 ? Math.round(ms) : ms.toFixed(1)} ms`);

// What can be done, where the message of the server does not say it.
const advice = {
	RESPONSE_TOO_LARGE: "Ask for less at a time: name the columns, or add a LIMIT.",
	SQLITE_INTERRUPT: "A statement may run only so long. Nothing of it has happened.",
	SYNC_CONFLICT: "Another server has written to this database too. Decide which side is kept, then write.",
	SQLITE_BUSY: "Another transaction holds the lock. Nothing of it has happened; run it again.",
	BUSY: "Nothing has happened. Run it again in a moment.",
	TOO_MANY_REQUESTS: "Nothing has happened. Run it again in a moment.",
	READ_ONLY: "This token allows reading only.",
	SQLITE_READONLY: "This token allows reading only.",
};

export const messageOf = (error) => error.message.replace(/^SQLite error: /, "");

// The part of a statement that its error names, if it is there just once.
export function placeOf(statement, error) {
	const name = /near "(.+)": syntax error|no such (?:column|table|function): (?:\w+\.)?(\S+)/.exec(error.message);
	const wanted = (name?.[1] ?? name?.[2])?.toLowerCase();
	const found = [];

	if (wanted) {
		for (const token of tokens(statement.text)) {
			if (token.text.toLowerCase() === wanted)
				found.push({ start: statement.start + token.start, end: statement.start + token.end });
		}
	}
	return found.length === 1 ? found[0] : { start: statement.start, end: statement.end };
}

function showCell(col, value) {
	const isBlob = value.type === "blob";

	byId("cell-title").textContent = `${col.name}, ${isBlob ? sizeText(bytesOf(value).length) : plural(fullText(value).length, "character")}`;
	byId("cell-text").textContent = isBlob ? dump(value) : fullText(value);
	byId("cell").showModal();
}

function cell(col, value) {
	const { text, more } = cellText(value);

	if (!more)
		return h("td", { class: `v-${value.type}` }, text);
	const open = () => showCell(col, value);
	return h(
		"td",
		{ class: `v-${value.type}` },
		h("button", { type: "button", class: "cell", "aria-haspopup": "dialog", title: "Show all of it", click: open }, text),
	);
}

function rowsTable(result, first, label) {
	const { cols, rows } = result;
	const numeric = cols.map((_, i) => rows.slice(first, first + pageRows).some((row) => /integer|float/.test(row[i].type)));

	return h(
		"table",
		{ "aria-rowcount": rows.length + 1 },
		h("caption", { class: "sr" }, label),
		h(
			"thead",
			{},
			h(
				"tr",
				{ "aria-rowindex": 1 },
				cols.map((col, i) =>
					h(
						"th",
						{ scope: "col", class: numeric[i] ? "number" : null },
						h("span", { class: "col-name" }, col.name),
						col.decltype ? h("span", { class: "col-type" }, ` ${col.decltype}`) : null,
					),
				),
			),
		),
		h(
			"tbody",
			{},
			rows.slice(first, first + pageRows).map((row, r) =>
				h("tr", { "aria-rowindex": first + r + 2 }, row.map((value, i) => cell(cols[i], value))),
			),
		),
	);
}

async function copy(text, button) {
	try {
		await navigator.clipboard.writeText(text);
		button.textContent = "Copied";
	} catch {
		button.textContent = "Not allowed";
	}
	announce(button.textContent === "Copied" ? "Copied as tab-separated values" : "The browser does not allow copying here");
	setTimeout(() => {
		button.textContent = "Copy";
	}, 1500);
}

function pager(result, show) {
	const { rows } = result;
	const last = Math.floor((rows.length - 1) / pageRows) * pageRows;
	const where = h("span", { class: "where" });
	let first = 0;

	const turn = (to) => {
		first = Math.max(0, Math.min(last, to));
		where.textContent = `${(first + 1).toLocaleString("en")}–${Math.min(first + pageRows, rows.length).toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
		// aria-disabled keeps the focus, which a disabled button loses.
		for (const [button, off] of [[start, first === 0], [back, first === 0], [next, first === last], [end, first === last]])
			button.setAttribute("aria-disabled", off);
		show(first);
	};
	const button = (text, label, to) =>
		h("button", { type: "button", class: "small", "aria-label": label, click: () => {
			turn(to());
			announce(`Rows ${where.textContent}`);
		} }, text);
	const start = button("«", "First page", () => 0);
	const back = button("‹", "Previous page", () => first - pageRows);
	const next = button("›", "Next page", () => first + pageRows);
	const end = button("»", "Last page", () => last);

	turn(0);
	return h("nav", { class: "pager", "aria-label": "Pages of rows" }, start, back, where, next, end);
}

function facts({ text: sql }, result) {
	const list = [];

	if (result.cols.length > 0)
		list.push(plural(result.rows.length, "row"));
	if (result.affected_row_count > 0 || /^(insert|update|delete|replace)\b/i.test(sql))
		list.push(`${plural(result.affected_row_count, "row")} affected`);
	if (result.affected_row_count > 0 && result.last_insert_rowid !== null)
		list.push(`last insert id ${result.last_insert_rowid}`);
	list.push(msText(result.query_duration_ms ?? 0));
	if (result.rows_read > 0)
		list.push(`${plural(result.rows_read, "row")} read`);
	return list;
}

function head(statement, meta, ...tools) {
	return h(
		"header",
		{ class: "result-head" },
		h("h3", { title: statement.text.slice(0, 2000) }, h("code", {}, statement.text.replace(/\s+/g, " ").slice(0, 300))),
		h("p", { class: "meta" }, meta.map((text) => h("span", {}, text))),
		tools.length > 0 ? h("div", { class: "tools" }, tools) : null,
	);
}

function resultCard(statement, number, result) {
	if (result.cols.length === 0)
		return h("article", { class: "result brief" }, head(statement, facts(statement, result)));

	const label = `Rows of statement ${number}`;
	const place = h("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": label });
	const show = (first) => {
		place.replaceChildren(rowsTable(result, first, label));
		place.scrollTop = 0;
	};
	const copyButton = h("button", { type: "button", class: "small", click: () => copy(tsv(result.cols, result.rows), copyButton) }, "Copy");
	const csvButton = h("button", { type: "button", class: "small", click: () =>
		save(`result-${number}.csv`, new Blob([csv(result.cols, result.rows)], { type: "text/csv;charset=utf-8" })) }, "CSV");
	const paged = result.rows.length > pageRows ? pager(result, show) : null;

	if (!paged)
		show(0);
	return h(
		"article",
		{ class: "result" },
		head(statement, facts(statement, result), copyButton, csvButton),
		result.rows.length === 0 ? h("p", { class: "no-rows" }, `No rows. Columns: ${result.cols.map((col) => col.name).join(", ")}`) : place,
		paged,
	);
}

function errorCard(statement, error, reveal) {
	return h(
		"article",
		{ class: "result brief failed" },
		statement ? head(statement, [`Line ${statement.line}`]) : null,
		h(
			"div",
			{ class: "error" },
			h("p", { class: "message" }, messageOf(error)),
			advice[error.code] ? h("p", {}, advice[error.code]) : null,
			h(
				"p",
				{ class: "error-foot" },
				h("code", {}, error.extended_code ?? error.code),
				statement ? h("button", { type: "button", class: "small", click: () => reveal(placeOf(statement, error)) }, "Show in the editor") : null,
			),
		),
	);
}

const place = () => byId("results");

export function showNothing(example) {
	place().replaceChildren(
		h(
			"div",
			{ class: "empty" },
			h("p", {}, "Results appear here."),
			h("p", { class: "note" }, "Several statements run one after another, up to the first that fails. Each that is not in a transaction is committed by itself."),
			h("button", { type: "button", click: example }, "Write an example"),
		),
	);
}

export function showBusy() {
	place().setAttribute("aria-busy", "true");
}

// `found` is the statements, `run` what Api.run() gave; `reveal` goes to a place in the editor.
export function showRun(found, run, ms, reveal) {
	const failed = run.outcomes.findIndex((outcome) => outcome.error);
	const skipped = failed < 0 ? 0 : found.length - failed - 1;
	const cards = [];

	run.outcomes.forEach(({ result, error }, i) => {
		if (result)
			cards.push(resultCard(found[i], i + 1, result));
		else if (error)
			cards.push(errorCard(found[i], error, reveal));
	});
	if (skipped > 0)
		cards.push(h("p", { class: "aside" }, `${plural(skipped, "statement")} after it ${skipped === 1 ? "was" : "were"} not run.`));
	if (run.leftOpen)
		cards.push(h("p", { class: "aside warn" }, "A transaction was still open at the end and has been rolled back. Run BEGIN and COMMIT together."));
	cards.push(h("p", { class: "aside" }, `${plural(found.length - skipped, "statement")}, ${msText(ms)} with the way there and back`));
	place().removeAttribute("aria-busy");
	place().replaceChildren(...cards);
	place().scrollTop = 0;
	if (failed >= 0) {
		announce(`Statement ${failed + 1} failed: ${messageOf(run.outcomes[failed].error)}`);
		// Where several ran, the failed one may be far below.
		cards[failed].scrollIntoView({ block: "nearest" });
	} else {
		announce(`${plural(found.length, "statement")} done. ${facts(found.at(-1), run.outcomes.at(-1).result).slice(0, 2).join(", ")}`);
	}
}

// The request as a whole has failed.
export function showProblem(error) {
	place().removeAttribute("aria-busy");
	place().replaceChildren(errorCard(null, error));
	announce(`Failed: ${messageOf(error)}`);
}
