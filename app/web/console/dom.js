// Making elements.  Strings become text nodes, always: names and values come from a
// database that anybody may have written, and nothing in this console parses markup.
// Styles are classes and SVG attributes, since the Content-Security-Policy refuses others.
//
//	h("td", { class: "number", title: "7" }, "7")
//	svg("circle", { cx: 4, cy: 4, r: 2 })
//
// An attribute that is a function listens to the event of that name; one that is
// false, null or undefined is left out; true is an attribute without a value.

function fill(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes)) {
		if (typeof value === "function")
			element.addEventListener(name, value);
		else if (value !== false && value !== null && value !== undefined)
			element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.flat().filter((child) => child !== null && child !== undefined));
	return element;
}

export function h(name, attributes = {}, ...children) {
	return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
	return fill(
		document.createElementNS("http://www.w3.org/2000/svg", name),
		attributes,
		children,
	);
}

// One that does what `click` says, and sends no form.
export function button(text, attributes, click) {
	return h("button", { type: "button", ...attributes, click }, text);
}

// The rows of a <dl>: [name, value] each.
export function describe(list, rows) {
	list.replaceChildren(
		...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
	);
}

export const byId = (id) => document.getElementById(id);

// Said by screen readers, seen by nobody.  The same words twice are to be said twice.
export function announce(text) {
	const place = byId("announce");

	place.textContent = "";
	setTimeout(() => {
		place.textContent = text;
	}, 50);
}

// A question in a dialog; true only for the button that says `yes`.
export function ask({ title, text, yes }) {
	const dialog = byId("ask");

	byId("ask-title").textContent = title;
	byId("ask-text").replaceChildren(...text.map((paragraph) => h("p", {}, paragraph)));
	byId("ask-yes").textContent = yes;
	dialog.returnValue = "no";
	dialog.showModal();
	return new Promise((resolve) => {
		dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), {
			once: true,
		});
	});
}

// Hands bytes to the browser's downloads.
export function save(name, blob) {
	const address = URL.createObjectURL(blob);

	h("a", { href: address, download: name }).click();
	// The download has begun by then; before, the address must stay good.
	setTimeout(() => URL.revokeObjectURL(address), 10000);
}
