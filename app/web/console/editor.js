// The SQL editor: a textarea, so that everything a browser and a screen reader know
// about text works, over a <pre> that shows the same text in colours.
//
// The textarea's own letters are transparent.  The <pre> makes the height, and the box
// around both scrolls, so the two cannot get out of step.
//
//	const editor = new Editor({ run, older, newer });	what its keys ask for
//	editor.text = "SELECT 1";
//	editor.mark(range); editor.reveal(range);		{ start, end } of what failed

import { byId, h } from "./dom.js";
import { tokens } from "./sql.js";

// Longer texts stay without colours: each keystroke would make them anew.
const colouredMax = 50000;

export class Editor {
	#area = byId("sql");
	#colours = byId("sql-colours");
	#marked = null;
	#keys;

	constructor(keys) {
		this.#keys = keys;
		this.#area.oninput = () => {
			this.#marked = null;
			this.#paint();
			this.onchange?.();
		};
		this.#area.onkeydown = (event) => this.#pressed(event);
		this.#paint();
	}

	get text() {
		return this.#area.value;
	}

	set text(text) {
		this.#area.value = text;
		this.#marked = null;
		this.#paint();
		this.onchange?.();
	}

	// { text, start } of what is selected, or of everything.
	get chosen() {
		const { selectionStart: start, selectionEnd: end } = this.#area;

		return start === end
			? { text: this.text, start: 0 }
			: { text: this.text.slice(start, end), start };
	}

	get isPartChosen() {
		return this.#area.selectionStart !== this.#area.selectionEnd;
	}

	focus() {
		this.#area.focus();
	}

	// Where the cursor is, instead of what is selected; undo takes it back.
	insert(text) {
		this.focus();
		// The one way that keeps the undo history, deprecated without a replacement.
		if (!document.execCommand("insertText", false, text))
			this.#area.setRangeText(
				text,
				this.#area.selectionStart,
				this.#area.selectionEnd,
				"end",
			);
		this.#paint();
	}

	replace(text) {
		this.focus();
		this.#area.select();
		this.insert(text);
	}

	append(text) {
		const start = this.text.trimEnd().length + 2;

		this.focus();
		this.moveCursor(start - 2, this.text.length);
		this.insert(`\n\n${text}`);
		this.reveal({ start, end: start + text.length });
	}

	moveCursor(start, end = start) {
		this.#area.setSelectionRange(start, end);
	}

	mark(range) {
		this.#marked = range;
		this.#paint();
	}

	// Selected, focused and in sight.
	reveal({ start, end }) {
		this.focus();
		this.#area.setSelectionRange(start, end);
		this.#colours.querySelector(".bad")?.scrollIntoView({ block: "nearest" });
	}

	#pressed(event) {
		const { selectionStart: start, selectionEnd: end } = this.#area;

		if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
			event.preventDefault();
			this.#keys.run();
		} else if (
			event.altKey ||
			event.ctrlKey ||
			event.metaKey ||
			event.shiftKey ||
			start !== end
		) {
			return;
		} else if (event.key === "ArrowUp" && start === 0) {
			event.preventDefault();
			this.#keys.older();
		} else if (event.key === "ArrowDown" && start === this.text.length) {
			event.preventDefault();
			this.#keys.newer();
		}
	}

	#paint() {
		const { text } = this;
		const bad = this.#marked;
		const pieces = [];

		if (text.length > colouredMax) {
			this.#colours.textContent = `${text}\n`;
			return;
		}
		for (const token of tokens(text)) {
			const isBad = bad && token.start < bad.end && token.end > bad.start;
			const kind = ["space", "word", "other", "end"].includes(token.kind)
				? ""
				: `t-${token.kind}`;

			if (kind || isBad)
				pieces.push(
					h(
						"span",
						{ class: `${kind}${isBad ? " bad" : ""}`.trim() },
						token.text,
					),
				);
			else
				pieces.push(token.text);
		}
		// A last line that is empty has no height otherwise.
		this.#colours.replaceChildren(...pieces, "\n");
	}
}
