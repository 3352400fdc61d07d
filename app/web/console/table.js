// A table of rows, a page at a time, and its cells.  Types are seen: NULL is no text,
// numbers stand to the right, blobs are in hex with their size.  What does not fit a
// cell is a button that shows all of it.

import { announce, button, byId, h } from "./dom.js";
import { bytesOf, cellText, dump, fullText, sizeText } from "./values.js";
import { plural } from "./words.js";

const pageRows = 100;
const number = (n) => n.toLocaleString("en");

function showCell(col, value) {
	const isBlob = value.type === "blob";
	const text = isBlob ? dump(value) : fullText(value);
	const size = isBlob ? sizeText(bytesOf(value).length) : plural(text.length, "character");

	byId("cell-title").textContent = `${col.name}, ${size}`;
	byId("cell-text").textContent = text;
	byId("cell").showModal();
}

function cell(col, value) {
	const { text, more } = cellText(value);
	const about = { class: "cell", "aria-haspopup": "dialog", title: "Show all of it" };

	return h(
		"td",
		{ class: `v-${value.type}` },
		more ? button(text, about, () => showCell(col, value)) : text,
	);
}

function headings(cols, rows) {
	const isNumber = (i) => rows.some((row) => /integer|float/.test(row[i].type));

	return cols.map((col, i) =>
		h(
			"th",
			{ scope: "col", class: isNumber(i) ? "number" : null },
			col.name,
			col.decltype ? h("span", { class: "col-type" }, ` ${col.decltype}`) : null,
		),
	);
}

function table({ cols, rows }, first, label) {
	const shown = rows.slice(first, first + pageRows);
	const lines = shown.map((row, r) =>
		h(
			"tr",
			{ "aria-rowindex": first + r + 2 },
			row.map((value, i) => cell(cols[i], value)),
		),
	);

	return h(
		"table",
		{ "aria-rowcount": rows.length + 1 },
		h("caption", { class: "sr" }, label),
		h("thead", {}, h("tr", { "aria-rowindex": 1 }, headings(cols, shown))),
		h("tbody", {}, lines),
	);
}

// `show` is called with the first row of each page that is turned to, at once with 0.
function pager(total, show) {
	const last = Math.floor((total - 1) / pageRows) * pageRows;
	const where = h("span", { class: "where" });
	let first = 0;

	const turn = (to) => {
		first = Math.max(0, Math.min(last, to));
		const end = Math.min(first + pageRows, total);

		where.textContent = `${number(first + 1)}–${number(end)} of ${number(total)}`;
		// aria-disabled keeps the focus, which a disabled button loses.
		for (const turner of backward)
			turner.setAttribute("aria-disabled", first === 0);
		for (const turner of forward)
			turner.setAttribute("aria-disabled", first === last);
		show(first);
	};
	const turner = (text, label, to) =>
		button(text, { class: "small", "aria-label": label }, () => {
			turn(to());
			announce(`Rows ${where.textContent}`);
		});
	const backward = [
		turner("«", "First page", () => 0),
		turner("‹", "Previous page", () => first - pageRows),
	];
	const forward = [
		turner("›", "Next page", () => first + pageRows),
		turner("»", "Last page", () => last),
	];

	turn(0);
	const label = "Pages of rows";
	return h("nav", { class: "pager", "aria-label": label }, backward, where, forward);
}

// The elements: a box with the table and, if there are more pages than one, the pager.
export function pagedTable(result, label) {
	const about = { class: "table-box", tabindex: "0", role: "region", "aria-label": label };
	const place = h("div", about);
	const show = (first) => {
		place.replaceChildren(table(result, first, label));
		place.scrollTop = 0;
	};

	if (result.rows.length > pageRows)
		return [place, pager(result.rows.length, show)];
	show(0);
	return [place];
}
