// What came of a run: for each statement, in their order, its rows, its effect or its
// error.  Rows are shown a page at a time; copies and downloads have all of them.

import { announce, button, byId, h, save } from "./dom.js";
import { tokens } from "./sql.js";
import { pagedTable } from "./table.js";
import { csv, tsv } from "./values.js";
import { msText, plural } from "./words.js";

// What can be done, where the message of the server does not say it.
const advice = {
	RESPONSE_TOO_LARGE: "Ask for less at a time: name the columns, or add a LIMIT.",
	SQLITE_INTERRUPT: "A statement may run only so long. Nothing of it has happened.",
	SYNC_CONFLICT:
		"Another server has written to this database too. Decide which side is kept, then write.",
	SQLITE_BUSY:
		"Another transaction holds the lock. Nothing of it has happened; run it again.",
	BUSY: "Nothing has happened. Run it again in a moment.",
	TOO_MANY_REQUESTS: "Nothing has happened. Run it again in a moment.",
	READ_ONLY: "This token allows reading only.",
	SQLITE_READONLY: "This token allows reading only.",
};

export const messageOf = (error) => error.message.replace(/^SQLite error: /, "");

// The part of a statement that its error names, if it is there just once.
export function placeOf(statement, error) {
	const name =
		/near "(.+)": syntax error|no such (?:column|table|function): (?:\w+\.)?(\S+)/.exec(
			error.message,
		);
	const wanted = (name?.[1] ?? name?.[2])?.toLowerCase();
	const found = [];

	if (wanted) {
		for (const token of tokens(statement.text)) {
			if (token.text.toLowerCase() === wanted)
				found.push({
					start: statement.start + token.start,
					end: statement.start + token.end,
				});
		}
	}
	return found.length === 1 ? found[0] : { start: statement.start, end: statement.end };
}

function facts({ text: sql }, result) {
	const list = [];

	if (result.cols.length > 0)
		list.push(plural(result.rows.length, "row"));
	if (result.affected_row_count > 0 || /^(insert|update|delete|replace)\b/i.test(sql))
		list.push(`${plural(result.affected_row_count, "row")} affected`);
	if (result.affected_row_count > 0 && result.last_insert_rowid !== null)
		list.push(`last insert id ${result.last_insert_rowid}`);
	list.push(msText(result.query_duration_ms));
	if (result.rows_read > 0)
		list.push(`${plural(result.rows_read, "row")} read`);
	return list;
}

function head({ text: sql }, meta, tools = null) {
	const oneLine = sql.replace(/\s+/g, " ").slice(0, 300);

	return h(
		"header",
		{ class: "result-head" },
		h("h3", { title: sql.slice(0, 2000) }, h("code", {}, oneLine)),
		h(
			"p",
			{ class: "meta" },
			meta.map((text) => h("span", {}, text)),
		),
		tools,
	);
}

async function copy(text, place) {
	let said = "Copied";

	try {
		await navigator.clipboard.writeText(text);
	} catch {
		said = "Not allowed";
	}
	place.textContent = said;
	announce(said === "Copied" ? "Copied as tab-separated values" : "Copying is not allowed here");
	setTimeout(() => {
		place.textContent = "Copy";
	}, 1500);
}

function tools({ cols, rows }, number) {
	const copying = button("Copy", { class: "small" }, () => copy(tsv(cols, rows), copying));
	const saving = button("CSV", { class: "small" }, () => {
		const type = "text/csv;charset=utf-8";

		save(`result-${number}.csv`, new Blob([csv(cols, rows)], { type }));
	});

	return h("div", { class: "tools" }, copying, saving);
}

function resultCard(statement, number, result) {
	const meta = facts(statement, result);

	if (result.cols.length === 0)
		return h("article", { class: "result brief" }, head(statement, meta));
	if (result.rows.length === 0) {
		const names = result.cols.map((col) => col.name).join(", ");
		const text = h("p", { class: "no-rows" }, `No rows. Columns: ${names}`);

		return h("article", { class: "result" }, head(statement, meta), text);
	}
	return h(
		"article",
		{ class: "result" },
		head(statement, meta, tools(result, number)),
		pagedTable(result, `Rows of statement ${number}`),
	);
}

// `statement` is null for an error of the whole request.
function errorCard(statement, error, reveal) {
	const go = () => reveal(placeOf(statement, error));

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
				statement ? button("Show in the editor", { class: "small" }, go) : null,
			),
		),
	);
}

const place = () => byId("results");

const aside = (text, kind = "") => h("p", { class: `aside ${kind}` }, text);

export function showNothing(example) {
	const rules =
		"Several statements run one after another, up to the first that fails. " +
		"Each that is not in a transaction is committed by itself.";

	place().replaceChildren(
		h(
			"div",
			{ class: "empty" },
			h("p", {}, "Results appear here."),
			h("p", { class: "note" }, rules),
			button("Write an example", {}, example),
		),
	);
}

export function showBusy() {
	place().setAttribute("aria-busy", "true");
}

function show(...cards) {
	place().removeAttribute("aria-busy");
	place().replaceChildren(...cards);
	place().scrollTop = 0;
}

// `found` is the statements, `run` what Api.run() gave; `reveal` goes to a place in the editor.
export function showRun(found, run, ms, reveal) {
	const failed = run.outcomes.findIndex((outcome) => outcome.error);
	const reached = failed < 0 ? found.length : failed + 1;
	const skipped = found.length - reached;
	const cards = run.outcomes.slice(0, reached).map(({ result, error }, i) => {
		if (error)
			return errorCard(found[i], error, reveal);
		return resultCard(found[i], i + 1, result);
	});
	const asides = [];

	if (skipped > 0) {
		const were = skipped === 1 ? "was" : "were";

		asides.push(aside(`${plural(skipped, "statement")} after it ${were} not run.`));
	}
	if (run.leftOpen) {
		const why = "A transaction was still open at the end and has been rolled back.";

		asides.push(aside(`${why} Run BEGIN and COMMIT together.`, "warn"));
	}
	asides.push(aside(`${plural(reached, "statement")}, ${msText(ms)} there and back`));
	show(...cards, ...asides);
	if (failed < 0) {
		const last = facts(found.at(-1), run.outcomes.at(-1).result).slice(0, 2).join(", ");

		announce(`${plural(reached, "statement")} done. ${last}`);
	} else {
		announce(`Statement ${reached} failed: ${messageOf(run.outcomes[failed].error)}`);
		// Where several ran, the failed one may be far below.
		cards[failed].scrollIntoView({ block: "nearest" });
	}
}

// The request as a whole has failed.
export function showProblem(error) {
	show(errorCard(null, error));
	announce(`Failed: ${messageOf(error)}`);
}
