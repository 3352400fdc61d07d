// The console: signing in, and what happens while somebody is.
//
//	session	who		api	the server's endpoints
//	editor	SQL		results	what came of it
//	schema	tables		history	what was run
//	sync	the state	sync_view, conflict	what is shown and done about it

import { Api } from "./api.js";
import { Conflict } from "./conflict.js";
import { announce, byId } from "./dom.js";
import { Editor } from "./editor.js";
import { History } from "./history.js";
import { placeOf, showBusy, showNothing, showProblem, showRun } from "./results.js";
import { Schema } from "./schema.js";
import { dropSession, readToken, savedSession, saveSession } from "./session.js";
import { statements } from "./sql.js";
import { SyncWatch } from "./sync.js";
import { SyncView } from "./sync_view.js";
import { clockText } from "./words.js";

const example = `CREATE TABLE IF NOT EXISTS note (
	id INTEGER PRIMARY KEY,
	text TEXT NOT NULL,
	written TEXT DEFAULT CURRENT_TIMESTAMP
);

INSERT INTO note (text) VALUES ('The first note');

SELECT * FROM note ORDER BY id DESC;
`;

const stepsMax = 1000;
let current = null; // the console of who is signed in

// ---- somebody is signed in

class Console {
	#session;
	#api;
	#watch;
	#view;
	#editor;
	#schema;
	#history;
	#running = false;
	#ran = null; // the editor's text when something was run last
	#draftKey;

	constructor(session, refused) {
		const api = new Api(session.token);
		const watch = new SyncWatch(api);

		this.#session = session;
		this.#api = api;
		this.#watch = watch;
		this.#draftKey = `holdfast.draft.${session.user}`;
		api.addEventListener("refused", ({ detail }) => refused(detail));
		api.addEventListener("news", () => watch.look());
		this.#editor = new Editor({
			run: () => this.run(),
			older: () => this.#recall(this.#history.older(this.#editor.text), 0),
			newer: () => this.#recall(this.#history.newer(), Infinity),
		});
		this.#schema = new Schema(api, {
			select: (sql) => this.#offer(sql),
			insert: (name) => {
				showView("query");
				this.#editor.insert(name);
			},
		});
		this.#history = new History(session.user, { load: (sql) => this.#put(sql) });
		this.#view = new SyncView(api, watch, session.user);
		new Conflict(api, watch, session, () => this.#schema.load());
		this.#editor.onchange = () => this.#edited();
		this.#editor.text = sessionStorage.getItem(this.#draftKey) ?? "";
		byId("run").onclick = () => this.run();
		document.onselectionchange = () => this.#labelRun();
		byId("who-user").textContent = session.user;
		byId("who-note").textContent = [
			session.readOnly ? "read only" : null,
			session.expires ? `until ${clockText(session.expires, false)}` : null,
		]
			.filter(Boolean)
			.join(", ");
		showNothing(() => this.#put(example));
		watch.start();
		this.#schema.load();
		this.#editor.focus();
	}

	close() {
		this.#watch.stop();
		this.#view.close();
		document.onselectionchange = null;
	}

	// The draft goes with the token, by its user's wish.
	forget() {
		sessionStorage.removeItem(this.#draftKey);
	}

	async run() {
		const { text, start } = this.#editor.chosen;
		const found = statements(text).map((s) => ({
			...s,
			start: s.start + start,
			end: s.end + start,
			line: s.line + this.#editor.text.slice(0, start).split("\n").length - 1,
		}));

		if (this.#running)
			return;
		if (found.length === 0) {
			announce("There is no statement to run.");
			return;
		}
		if (found.length > stepsMax) {
			showProblem({
				code: "TOO_MANY_STATEMENTS",
				message: `These are ${found.length} statements; up to ${stepsMax} can be run at once.`,
			});
			return;
		}
		this.#setRunning(true);
		this.#editor.mark(null);
		this.#ran = this.#editor.text;
		const began = performance.now();
		try {
			const outcome = await this.#api.run(found.map((s) => s.text));
			const failed = outcome.outcomes.findIndex(({ error }) => error);

			showRun(found, outcome, performance.now() - began, (place) => {
				showView("query");
				this.#editor.mark(place);
				this.#editor.reveal(place);
			});
			if (failed >= 0)
				this.#editor.mark(placeOf(found[failed], outcome.outcomes[failed].error));
			this.#history.add(text.trim(), failed < 0);
		} catch (error) {
			showProblem(error);
			this.#history.add(text.trim(), false);
		} finally {
			this.#setRunning(false);
		}
		if (found.some((s) => /\b(create|drop|alter|rollback)\b/i.test(s.text)))
			this.#schema.load();
		this.#watch.wrote();
	}

	#setRunning(running) {
		this.#running = running;
		byId("run").setAttribute("aria-disabled", running);
		if (running)
			showBusy();
		this.#labelRun();
	}

	#labelRun() {
		byId("run").textContent = this.#running
			? "Running…"
			: this.#editor.isPartChosen
				? "Run selection"
				: "Run";
	}

	#put(sql) {
		showView("query");
		this.#editor.replace(sql);
	}

	// What is being written stays: behind it, and selected, so that it is what runs.
	#offer(sql) {
		const { text } = this.#editor;

		if (text.trim() === "" || text === this.#ran)
			this.#put(sql);
		else
			this.#editor.append(sql);
		showView("query");
	}

	#recall(sql, place) {
		if (sql === null)
			return;
		this.#editor.replace(sql);
		this.#editor.moveCursor(Math.min(place, sql.length));
	}

	#edited() {
		try {
			sessionStorage.setItem(this.#draftKey, this.#editor.text);
		} catch {
			// Too long to keep; it is still in the editor.
		}
	}
}

// ---- which view a narrow window shows

function showView(view) {
	document.body.dataset.view = view;
	for (const button of byId("tabs").children)
		button.setAttribute("aria-current", button.dataset.view === view);
}

byId("tabs").onclick = ({ target }) => {
	if (target.dataset.view)
		showView(target.dataset.view);
};

// ---- signing in and out

const refusal = {
	TOKEN_EXPIRED: "The token has expired. Fetch a new one.",
	TOKEN_INVALID: "The server does not accept this token.",
};

const aboutTokens =
	"A JWT that your backend signs, or that holdfast token USER prints. It stays in this tab.";

function openConsole(session) {
	byId("sign-in").hidden = true;
	byId("app").hidden = false;
	const opened = new Console(session, (error) => {
		// Its answers may come late.
		if (current !== opened)
			return;
		dropSession();
		closeConsole(refusal[error.code] ?? error.message);
	});
	current = opened;
}

function closeConsole(why) {
	current?.close();
	current = null;
	for (const dialog of document.querySelectorAll("dialog[open]"))
		dialog.close("no");
	byId("app").hidden = true;
	showSignIn();
	byId("sign-in-error").textContent = why;
}

function showSignIn() {
	byId("sign-in").hidden = false;
	byId("token").value = "";
	describeToken();
	byId("token").focus();
}

function describeToken() {
	const session = readToken(byId("token").value.trim());
	const note = byId("token-note");

	if (byId("token").value === "") {
		note.textContent = aboutTokens;
		return;
	}
	if (session === null) {
		note.textContent = "This does not look like a JWT.";
		return;
	}
	const facts = [
		`For ${session.user}`,
		session.readOnly && "reading only",
		session.expires && `good until ${clockText(session.expires, false)}`,
	];
	note.textContent = `${facts.filter(Boolean).join(", ")}.`;
}

async function signIn() {
	const token = byId("token").value.trim();
	const session = readToken(token);
	const problem = byId("sign-in-error");

	problem.textContent = "";
	if (session === null) {
		problem.textContent = token === "" ? "Paste a token first." : refusal.TOKEN_INVALID;
		byId("token").focus();
		return;
	}
	try {
		await new Api(token).syncState();
	} catch (error) {
		// 503: the server knows who it is, and has no database for them right now.
		if (error.status !== 503) {
			problem.textContent = refusal[error.code] ?? error.message;
			byId("token").focus();
			return;
		}
	}
	saveSession(session);
	byId("token").value = "";
	openConsole(session);
}

byId("token").oninput = describeToken;
byId("sign-in-form").onsubmit = (event) => {
	event.preventDefault();
	signIn();
};
byId("sign-out").onclick = () => {
	dropSession();
	current.forget();
	// Nothing of this user's is left in the page.
	location.reload();
};

const saved = savedSession();
if (saved)
	openConsole(saved);
else
	showSignIn();
