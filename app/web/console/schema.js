// The tree of tables and views, with their columns, indexes and triggers.  Columns are
// fetched when a table is opened, so a schema of a thousand tables costs one query.
//
//	const schema = new Schema(api, { select, insert });	what its buttons ask for
//	await schema.load();					again after each change

import { button, byId, h } from "./dom.js";
import { quoted } from "./sql.js";

const objectsSql = `SELECT type, name, tbl_name, sql FROM sqlite_schema
	WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' OR type = 'index' ORDER BY name`;
const columnsSql = `SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?)`;

export class Schema {
	#api;
	#actions;
	#place = byId("schema-tree");
	#open = new Set(); // names, so that a reload leaves the tree as it was
	#loads = 0;

	constructor(api, actions) {
		this.#api = api;
		this.#actions = actions;
		byId("schema-reload").onclick = () => this.load();
	}

	async load() {
		const load = ++this.#loads;
		let shown;

		try {
			shown = this.#trees(await this.#api.rows(objectsSql));
		} catch (error) {
			const text = `The schema could not be read: ${error.message}`;

			shown = [h("p", { class: "empty" }, text)];
		}
		// Or a later one has begun meanwhile.
		if (load === this.#loads)
			this.#place.replaceChildren(...shown);
	}

	#trees(objects) {
		const of = (type) => objects.filter((object) => object.type === type);
		const on = (type, name) => of(type).filter((object) => object.tbl_name === name);
		const branch = (object) =>
			this.#branch(object, on("index", object.name), on("trigger", object.name));
		const tree = (title, list) =>
			h(
				"div",
				{ class: "tree", hidden: list.length === 0 },
				h("h3", {}, `${title} `, h("span", { class: "count" }, list.length)),
				h("ul", {}, list.map(branch)),
			);
		const first = h("p", { class: "note" }, "CREATE TABLE makes the first one.");

		if (objects.length === 0)
			return [h("div", { class: "empty" }, h("p", {}, "No tables yet."), first)];
		return [tree("Tables", of("table")), tree("Views", of("view"))];
	}

	#branch(object, indexes, triggers) {
		const { name } = object;
		const inside = h("div", { class: "inside" });
		const about = { class: "twist", "aria-label": `Columns of ${name}` };
		const select = `SELECT * FROM ${quoted(name)} LIMIT 100;`;

		const turn = (open) => {
			toggle.setAttribute("aria-expanded", open);
			inside.hidden = !open;
			if (open)
				this.#open.add(name);
			else
				this.#open.delete(name);
			if (open && inside.childElementCount === 0)
				this.#fill(inside, object, indexes, triggers);
		};
		const toggle = button("", about, () => turn(inside.hidden));
		const leaf = { class: "leaf", title: `SELECT from ${name}` };

		turn(this.#open.has(name));
		return h(
			"li",
			{},
			h(
				"div",
				{ class: "branch" },
				toggle,
				button(name, leaf, () => this.#actions.select(select)),
			),
			inside,
		);
	}

	async #fill(inside, { name, sql }, indexes, triggers) {
		const list = (...items) => h("ul", { class: "columns" }, items);
		const definitions = (title, objects) => {
			const items = objects.map((object) => definition(object.name, object.sql));

			return objects.length === 0 ? [] : [h("h4", {}, title), list(...items)];
		};
		const columns = list(h("li", { class: "note" }, "…"));

		inside.append(
			columns,
			list(definition("Definition", sql)),
			...definitions("Indexes", indexes),
			...definitions("Triggers", triggers),
		);
		try {
			const found = await this.#api.rows(columnsSql, name);

			columns.replaceChildren(...found.map((column) => this.#column(column)));
		} catch (error) {
			columns.replaceChildren(h("li", { class: "problem" }, error.message));
		}
	}

	#column({ name, type, notnull, pk, hidden }) {
		const leaf = { class: "leaf", title: `Insert ${name}` };
		const marks = [
			pk !== "0" && ["PK", "part of the primary key"],
			notnull !== "0" && ["NN", "not null"],
			(hidden === "2" || hidden === "3") && ["GEN", "generated"],
		].filter(Boolean);

		return h(
			"li",
			{},
			button(name, leaf, () => this.#actions.insert(quoted(name))),
			h("span", { class: "type" }, type || "any"),
			marks.map(([text, title]) => h("abbr", { title }, text)),
		);
	}
}

// What was made without SQL, as the index of a UNIQUE, has no text.
function definition(name, sql) {
	const text = h("pre", { tabindex: "0" }, sql ?? "");

	return h("li", {}, sql ? h("details", {}, h("summary", {}, name), text) : h("span", {}, name));
}
