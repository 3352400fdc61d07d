// The tree of tables and views, with their columns, indexes and triggers.  Columns are
// fetched when a table is opened, so a schema of a thousand tables costs one query.
//
//	const schema = new Schema(api, { select, insert });	what its buttons ask for
//	await schema.load();					again after each change

import { byId, h } from "./dom.js";
import { quoted } from "./sql.js";

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
		let objects;

		try {
			objects = await this.#api.rows(
				"SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
			);
		} catch (error) {
			if (load === this.#loads)
				this.#place.replaceChildren(h("p", { class: "empty" }, `The schema could not be read: ${error.message}`));
			return;
		}
		// A later one has begun meanwhile.
		if (load === this.#loads)
			this.#show(objects);
	}

	#show(objects) {
		const of = (type, table) => objects.filter((o) => o.type === type && (!table || o.tbl_name === table));
		const tables = of("table");
		const views = of("view");

		if (tables.length + views.length === 0) {
			this.#place.replaceChildren(
				h("div", { class: "empty" }, h("p", {}, "No tables yet."), h("p", { class: "note" }, "CREATE TABLE makes the first one.")),
			);
			return;
		}
		const branch = (object) => this.#branch(object, of("index", object.name), of("trigger", object.name));
		this.#place.replaceChildren(
			...[["Tables", tables], ["Views", views]]
				.filter(([, list]) => list.length > 0)
				.map(([title, list]) =>
					h("div", { class: "tree" }, h("h3", {}, `${title} `, h("span", { class: "count" }, list.length)), h("ul", {}, list.map(branch))),
				),
		);
	}

	#branch(object, indexes, triggers) {
		const { name } = object;
		const inside = h("div", { class: "inside", hidden: true });
		const toggle = h("button", {
			type: "button",
			class: "twist",
			"aria-expanded": "false",
			"aria-label": `Columns of ${name}`,
			click: () => turn(toggle.getAttribute("aria-expanded") === "false"),
		});
		const turn = (open) => {
			toggle.setAttribute("aria-expanded", open);
			inside.hidden = !open;
			if (open) {
				this.#open.add(name);
				if (inside.childElementCount === 0)
					this.#fill(inside, object, indexes, triggers);
			} else {
				this.#open.delete(name);
			}
		};

		if (this.#open.has(name))
			turn(true);
		return h(
			"li",
			{},
			h(
				"div",
				{ class: "branch" },
				toggle,
				h("button", { type: "button", class: "leaf", title: `SELECT from ${name}`, click: () => this.#actions.select(`SELECT * FROM ${quoted(name)} LIMIT 100;`) }, name),
			),
			inside,
		);
	}

	async #fill(inside, { name, sql }, indexes, triggers) {
		const list = h("ul", { class: "columns" }, h("li", { class: "note" }, "…"));

		inside.append(list, h("ul", { class: "columns" }, this.#definition("Definition", sql)));
		for (const [title, objects] of [["Indexes", indexes], ["Triggers", triggers]]) {
			if (objects.length > 0)
				inside.append(h("h4", {}, title), h("ul", { class: "columns" }, objects.map((o) => this.#definition(o.name, o.sql))));
		}
		try {
			const columns = await this.#api.rows('SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?)', name);

			list.replaceChildren(...columns.map((column) => this.#column(column)));
		} catch (error) {
			list.replaceChildren(h("li", { class: "problem" }, error.message));
		}
	}

	#column({ name, type, notnull, pk, hidden }) {
		const marks = [];

		if (pk !== "0")
			marks.push(h("abbr", { title: "part of the primary key" }, "PK"));
		if (notnull !== "0")
			marks.push(h("abbr", { title: "not null" }, "NN"));
		if (hidden === "2" || hidden === "3")
			marks.push(h("abbr", { title: "generated" }, "GEN"));
		return h(
			"li",
			{},
			h("button", { type: "button", class: "leaf", title: `Insert ${name}`, click: () => this.#actions.insert(quoted(name)) }, name),
			h("span", { class: "type" }, type || "any"),
			marks,
		);
	}

	// What was made without SQL, as the index of a UNIQUE, has no text.
	#definition(name, sql) {
		if (!sql)
			return h("li", {}, h("span", {}, name));
		return h("li", {}, h("details", {}, h("summary", {}, name), h("pre", { tabindex: "0" }, sql)));
	}
}
