// <holdfast-banner>: tells the user when what they have written is not in the store, and
// goes away by itself.  Works under a policy without inline styles.
//
//	import "./holdfast-banner.js";
//
//	<holdfast-banner for="db" grace="2"></holdfast-banner>	new Holdfast({ id: "db", ... })
//	document.querySelector("holdfast-banner").holdfast = holdfast;	or without an id
//
// Attributes: `for`; `grace`, how many seconds a failure may last before anything is
// said (2); every text under its name below plus -text; `shown` is set by the banner
// itself.  A text with markup is a child with slot="failed", slot="conflict" ...
//
// Parts: banner (and failed, conflict), text, retry.  Custom properties:
// --holdfast-background, --holdfast-color, --holdfast-border, --holdfast-radius.

import { Holdfast } from "./holdfast.js";

const texts = {
	failed: "Saved on the server, but its backup is behind. It is being retried; you can go on working.",
	conflict:
		"This data was also changed on another server. You can read it, but changes are refused until one of the two versions has been chosen.",
	"still-failed": "The backup is still behind. Nothing is lost, and it is being retried.",
	unanswered: "The server could not be asked. Are you online?",
	healed: "The backup is complete again.",
	retry: "Try now",
	retrying: "Trying…",
};

const HEALED_MS = 5000; // for screen readers only

const style = new CSSStyleSheet();
style.replaceSync(`
:host {
	display: block;
	--light-background: #fff4ce;
	--light-color: #3d2f00;
	--dark-background: #3a2e05;
	--dark-color: #ffeeb8;
}
:host([hidden]) {
	display: none;
}
div[part~="conflict"] {
	--light-background: #fde7e9;
	--light-color: #5c0a11;
	--dark-background: #4a1116;
	--dark-color: #ffd9dc;
}
div[part~="banner"] {
	--background: var(--light-background);
	--color: var(--light-color);
}
@supports (color: light-dark(red, red)) {
	div[part~="banner"] {
		--background: light-dark(var(--light-background), var(--dark-background));
		--color: light-dark(var(--light-color), var(--dark-color));
	}
}
:host([shown]) div[part~="banner"] {
	display: flex;
	flex-wrap: wrap;
	align-items: center;
	gap: 0.5rem 1rem;
	padding: 0.5rem 1rem;
	line-height: 1.4;
	color: var(--holdfast-color, var(--color));
	background: var(--holdfast-background, var(--background));
	border: var(--holdfast-border, 1px solid currentColor);
	border-radius: var(--holdfast-radius, 0.25rem);
}
div[part="text"] {
	flex: 1 1 15rem;
}
:host(:not([shown])) div[part="text"] {
	position: absolute;
	width: 1px;
	height: 1px;
	overflow: hidden;
	clip-path: inset(50%);
	white-space: nowrap;
}
button {
	min-height: 2.75rem;
	padding: 0 1rem;
	font: inherit;
	color: inherit;
	background: transparent;
	border: 1px solid currentColor;
	border-radius: inherit;
	cursor: pointer;
}
button:focus-visible {
	outline: 2px solid currentColor;
	outline-offset: 2px;
}
button[aria-disabled="true"] {
	border-style: dashed;
	cursor: progress;
}
button[hidden] {
	display: none;
}
@media (prefers-reduced-motion: no-preference) {
	:host([shown]) div[part~="banner"] {
		animation: appear 200ms ease-out;
	}
	@keyframes appear {
		from {
			opacity: 0;
			transform: translateY(-0.5rem);
		}
	}
}
`);

export class HoldfastBanner extends HTMLElement {
	static observedAttributes = ["for", "grace", ...Object.keys(texts).map((name) => `${name}-text`)];

	#holdfast = null;
	#connected = null; // an AbortController, while we are in a document
	#attached = null; // another, for the listeners of #holdfast
	#box = document.createElement("div");
	#text = document.createElement("div");
	#button = document.createElement("button");
	#said = null;
	#timer;

	constructor() {
		super();
		this.#box.setAttribute("part", "banner");
		// It is there before it has something to say, or that is not read out.
		this.#text.setAttribute("part", "text");
		this.#text.setAttribute("role", "status");
		this.#text.setAttribute("aria-live", "polite");
		this.#button.setAttribute("part", "retry");
		this.#button.type = "button";
		this.#button.hidden = true;
		this.#button.addEventListener("click", () => this.#retry());
		this.#box.append(this.#text, this.#button);
		const root = this.attachShadow({ mode: "open" });
		root.adoptedStyleSheets = [style];
		root.append(this.#box);
	}

	get holdfast() {
		return this.#holdfast;
	}

	set holdfast(holdfast) {
		this.#attached?.abort();
		this.#attached = null;
		this.#holdfast = holdfast;
		this.#silence();
		if (holdfast === null || this.#connected === null)
			return;
		this.#attached = new AbortController();
		holdfast.addEventListener("change", () => this.#look(), { signal: this.#attached.signal });
		this.#look();
	}

	connectedCallback() {
		// Set before this class was there.
		const early = Object.hasOwn(this, "holdfast") ? this.holdfast : this.#holdfast;

		delete this.holdfast;
		this.#connected = new AbortController();
		this.#label(false);
		this.holdfast = early;
		this.#watch();
	}

	disconnectedCallback() {
		this.#connected.abort();
		this.#connected = null;
		this.#attached?.abort();
		this.#silence();
	}

	attributeChangedCallback(name) {
		if (this.#connected === null)
			return;
		if (name === "for") {
			this.#connected.abort();
			this.#connected = new AbortController();
			this.#watch();
		} else if (name === "grace") {
			this.#look();
		} else {
			this.#label(this.#isBusy());
			if (this.#said !== null)
				this.#say(this.#said);
		}
	}

	#watch() {
		const { signal } = this.#connected;

		if (this.hasAttribute("for"))
			Holdfast.watch(this.getAttribute("for"), (holdfast) => (this.holdfast = holdfast), { signal });
	}

	#graceMs() {
		const seconds = Number.parseFloat(this.getAttribute("grace") ?? "2");

		return Number.isFinite(seconds) ? seconds * 1000 : 2000;
	}

	#look() {
		const { status, since } = this.#holdfast ?? { status: null };

		clearTimeout(this.#timer);
		if (status === "conflict") {
			this.#show("conflict");
		} else if (status === "failed") {
			const left = since.getTime() + this.#graceMs() - Date.now();

			if (left <= 0 || this.hasAttribute("shown"))
				this.#show("failed");
			else
				this.#timer = setTimeout(() => this.#show("failed"), left);
		} else if (status === "ok" && this.hasAttribute("shown")) {
			this.#hide();
			this.#say("healed");
			this.#timer = setTimeout(() => this.#silence(), HEALED_MS);
		} else {
			this.#silence();
		}
	}

	#show(name) {
		this.#say(name);
		this.#box.setAttribute("part", `banner ${name}`);
		this.#button.hidden = name !== "failed";
		this.setAttribute("shown", "");
	}

	#hide() {
		this.removeAttribute("shown");
		this.#box.setAttribute("part", "banner");
		this.#button.hidden = true;
	}

	#silence() {
		clearTimeout(this.#timer);
		this.#hide();
		this.#said = null;
		this.#text.replaceChildren();
	}

	#words(name) {
		return this.getAttribute(`${name}-text`) ?? texts[name];
	}

	#say(name) {
		const slot = document.createElement("slot");

		slot.name = name;
		slot.textContent = this.#words(name);
		this.#said = name;
		this.#text.replaceChildren(slot);
	}

	#isBusy() {
		return this.#button.getAttribute("aria-disabled") === "true";
	}

	// Not `disabled`, which would take the focus away.
	#label(busy) {
		this.#button.setAttribute("aria-disabled", String(busy));
		this.#button.textContent = this.#words(busy ? "retrying" : "retry");
	}

	async #retry() {
		const holdfast = this.#holdfast;
		let answer = null;

		if (this.#isBusy())
			return;
		this.#label(true);
		try {
			if (!(await holdfast.retry()))
				answer = "still-failed";
		} catch {
			answer = "unanswered";
		}
		this.#label(false);
		if (answer !== null && holdfast === this.#holdfast && holdfast.status === "failed")
			this.#say(answer);
	}
}

if (!customElements.get("holdfast-banner"))
	customElements.define("holdfast-banner", HoldfastBanner);
