// SQLite without Holdfast (../plain_sqlite.c), and its answers in Hrana's words.
//
// A value here is { type, value }: null, integer (a BigInt), float, text (a
// Buffer of UTF-8) or blob (a Buffer).

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const hex = (text) => Buffer.from(text).toString("hex");
const unhex = (text) => Buffer.from(text, "hex");

function bitsOf(float) {
	const bits = Buffer.alloc(8);
	bits.writeDoubleBE(float);
	return bits.toString("hex");
}

const writers = {
	null: () => "n",
	integer: (value) => `i${value}`,
	float: (value) => `f${bitsOf(value)}`,
	text: (value) => `t${value.toString("hex")}`,
	blob: (value) => `b${value.toString("hex")}`,
};

function readValue(word) {
	const rest = word.slice(1);
	switch (word[0]) {
	case "n": return { type: "null" };
	case "i": return { type: "integer", value: BigInt(rest) };
	case "f": return { type: "float", value: unhex(rest).readDoubleBE() };
	case "t": return { type: "text", value: unhex(rest) };
	case "b": return { type: "blob", value: unhex(rest) };
	}
	throw new Error(`what is ${word}?`);
}

const bases = {
	2: "INTERNAL", 3: "PERM", 4: "ABORT", 5: "BUSY", 6: "LOCKED", 7: "NOMEM", 8: "READONLY",
	9: "INTERRUPT", 10: "IOERR", 11: "CORRUPT", 12: "NOTFOUND", 13: "FULL", 14: "CANTOPEN",
	15: "PROTOCOL", 17: "SCHEMA", 18: "TOOBIG", 19: "CONSTRAINT", 20: "MISMATCH", 21: "MISUSE",
	22: "NOLFS", 23: "AUTH", 25: "RANGE", 26: "NOTADB",
};
const constraints = [
	undefined, "CHECK", "COMMITHOOK", "FOREIGNKEY", "FUNCTION", "NOTNULL", "PRIMARYKEY", "TRIGGER",
	"UNIQUE", "VTAB", "ROWID", "PINNED", "DATATYPE",
];

const syntax = /: syntax error$|^incomplete input$|^unrecognized token:|^parser stack overflow$/;

// Hrana's error for what SQLite says.
function errorOf(code, offset, message) {
	const base = code & 0xff, detail = code >> 8;
	const error = { message: `SQLite error: ${message}`, code: `SQLITE_${bases[base] ?? "UNKNOWN"}` };
	if (base === 1 && syntax.test(message))
		error.code = "SQL_PARSE_ERROR";
	else if (base === 1 && offset >= 0)
		error.code = "SQL_INPUT_ERROR";
	if (base === 19 && detail !== 0)
		error.extended_code = `SQLITE_CONSTRAINT_${constraints[detail]}`;
	return error;
}

const readers = {
	cols: (answer, words) => {
		answer.cols = words.map((word) => {
			const [name, decltype] = word.split(":");
			return {
				name: unhex(name).toString(),
				decltype: decltype === "-" ? null : unhex(decltype).toString(),
			};
		});
	},
	row: (answer, words) => answer.rows.push(words.map(readValue)),
	params: (answer, words) => {
		answer.params = words.map((word) => ({ name: word === "-" ? null : unhex(word).toString() }));
	},
	kind: (answer, words) => {
		answer.is_explain = words[0] !== "0";
		answer.is_readonly = words[1] !== "0";
	},
	done: (answer, words) => {
		answer.moved = BigInt(words[0]);
		answer.changes = BigInt(words[1]);
		answer.rowid = BigInt(words[2]);
		answer.autocommit = words[3] === "1";
	},
	error: (answer, words) => {
		answer.error = errorOf(Number(words[0]), Number(words[1]), unhex(words[3] ?? "").toString());
		answer.autocommit = words[2] === "1";
	},
};

export class PlainSqlite {
	#process;
	#lines;

	constructor() {
		this.#process = spawn(process.env.PLAIN_SQLITE, { stdio: ["pipe", "pipe", "inherit"] });
		this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
	}

	async #ask(command) {
		const answer = { rows: [] };
		this.#process.stdin.write(`${command}\n`);
		for (;;) {
			const { value: line, done } = await this.#lines.next();
			if (done)
				throw new Error(`plain_sqlite is gone, after: ${command}`);
			const [kind, ...words] = line.split(" ");
			readers[kind](answer, words.filter((word) => word !== ""));
			if (kind === "done" || kind === "error")
				return answer;
		}
	}

	open(path) {
		return this.#ask(`open ${path}`);
	}

	// Values in the order of the parameters.
	run(sql, values) {
		return this.#ask(`run ${hex(sql)} ${values.map((v) => writers[v.type](v.value)).join(" ")}`);
	}

	sequence(sql) {
		return this.#ask(`sequence ${hex(sql)}`);
	}

	describe(sql) {
		return this.#ask(`describe ${hex(sql)}`);
	}

	close() {
		this.#process.stdin.end();
	}
}
