// Statements and values at random, on a schema with a bit of everything.
//
// What it makes need not succeed: an error is compared like a result.  But it
// must be determined: no clock, no random(), no counts of earlier connections,
// and no rowid so high that SQLite would look for a free one at random.

export const schema = `
CREATE TABLE person(
	id INTEGER PRIMARY KEY CHECK (id < 1000000),
	name TEXT NOT NULL,
	email TEXT UNIQUE COLLATE NOCASE,
	age INT CHECK (age >= 0 OR typeof(age) <> 'integer'),
	score REAL DEFAULT 1.5,
	photo BLOB,
	note
);
CREATE TABLE post(
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	author INTEGER REFERENCES person(id) ON DELETE CASCADE ON UPDATE SET NULL,
	title VARCHAR(40),
	stars DECIMAL(10, 2) DEFAULT 0,
	title_len INTEGER GENERATED ALWAYS AS (length(title)) STORED,
	loud TEXT AS (upper(title))
);
CREATE TABLE tag(
	word TEXT,
	post INT REFERENCES post DEFERRABLE INITIALLY DEFERRED,
	weight FLOAT,
	PRIMARY KEY (word, post)
) WITHOUT ROWID;
CREATE TABLE firm(a INT, b INTEGER UNIQUE, c REAL, d TEXT, e BLOB, f ANY) STRICT;
CREATE TABLE loose(a, b BOOLEAN, c DATETIME, d NUMERIC, e "my own type", f STRING);
CREATE TABLE log(what TEXT, id INT);
CREATE INDEX post_author ON post(author, title DESC);
CREATE UNIQUE INDEX loose_a ON loose(a) WHERE a IS NOT NULL AND typeof(a) = 'integer';
CREATE TRIGGER post_added AFTER INSERT ON post BEGIN
	INSERT INTO log VALUES ('added', NEW.id);
	UPDATE person SET score = score + 1 WHERE id = NEW.author;
END;
CREATE TRIGGER tag_guard BEFORE INSERT ON tag BEGIN
	SELECT CASE NEW.word
		WHEN 'abort' THEN RAISE(ABORT, 'no such word')
		WHEN 'fail' THEN RAISE(FAIL, 'a word that fails')
		WHEN 'rollback' THEN RAISE(ROLLBACK, 'all is lost')
		WHEN 'ignore' THEN RAISE(IGNORE)
	END;
END;
CREATE VIEW reader AS SELECT p.id, p.name, count(q.id) AS posts FROM person p LEFT JOIN post q
	ON q.author = p.id GROUP BY p.id;
CREATE TRIGGER reader_add INSTEAD OF INSERT ON reader BEGIN
	INSERT INTO person(id, name) VALUES (NEW.id, NEW.name);
	INSERT INTO log VALUES ('reader', NEW.id), ('twice', NEW.id);
END;
CREATE VIRTUAL TABLE page USING fts5(title, body);
`;

const tables = {
	person: ["id", "name", "email", "age", "score", "photo", "note"],
	post: ["id", "author", "title", "stars"],
	tag: ["word", "post", "weight"],
	firm: ["a", "b", "c", "d", "e", "f"],
	loose: ["a", "b", "c", "d", "e", "f"],
	log: ["what", "id"],
	reader: ["id", "name"],
	page: ["title", "body"],
};
const names = Object.keys(tables);

const integers = [
	0n, 1n, -1n, 2n, 3n, 7n, 127n, 128n, 255n, 256n, 32767n, 32768n, 8388607n, 8388608n, 2147483647n,
	-2147483648n, 2147483648n, 140737488355327n, 140737488355328n, 9007199254740991n, 9007199254740992n,
	9007199254740993n, -9007199254740993n, 9223372036854775807n, -9223372036854775808n,
];
const floats = [
	0, -0, 1, -1, 0.1, 0.5, 1.5, 2, -3.25, 1e3, 1e15, 1e16, 1e17, 123456789012345.67, 9007199254740992,
	9007199254740994, 9223372036854775807, -9223372036854775808, 1e19, 1e21, 1e100, 5e-324, 2.2250738585072014e-308,
	1.7976931348623157e308, -1.7976931348623157e308, Math.PI, 1 / 3, 1e-7, 0.30000000000000004,
];
const texts = [
	"", "a", "A", "b", "abc", "0", "1", "-1", "1.0", "1e3", " 12 ", "12x", "0x10", "9223372036854775808", "NULL",
	"it's", "\"quoted\"", "100%", "a_b", "%", "\\", "line\nbreak", "tab\t", "\u0000", "a\u0000b", "\u001f", "\u007f",
	"äöü", "ÄÖÜ", "ß", "日本語", "😀", "👩‍👩‍👧", "\ufeffbom", "\ufffd", "\uffff", "e\u0301", "\u2028", "</script>",
	"ann@example.com", "Ann@Example.com", "bob@example.com", "abort", "fail", "rollback", "ignore",
	"{\"a\":[1,2.5,null]}", "[]", "2024-02-30 12:00:00", "x".repeat(300),
];

export const value = {
	null: () => ({ type: "null" }),
	integer: (random) => ({
		type: "integer",
		value: random.chance(0.5) ? BigInt(random.below(8)) : random.chance(0.6)
			? random.pick(integers) : BigInt.asIntN(64, random.bits64() >> BigInt(random.below(64))),
	}),
	float: (random) => {
		const bits = Buffer.alloc(8);
		bits.writeBigUInt64BE(random.bits64());
		const any = bits.readDoubleBE();
		return { type: "float", value: random.chance(0.6) || !Number.isFinite(any) ? random.pick(floats) : any };
	},
	text: (random) => ({
		type: "text",
		value: Buffer.from(random.chance(0.8) ? random.pick(texts)
			: random.times(0, 20, () => random.pick(texts).slice(0, 9)).join("").toWellFormed()),
	}),
	blob: (random) => ({ type: "blob", value: random.bytes(random.chance(0.9) ? random.below(20) : random.below(2000)) }),
};

export const anyValue = (random) => value[random.pick(["null", "integer", "integer", "float", "text", "text", "blob"])](random);

// ---- expressions
//
// A Writer makes the text of one statement and collects the values of its
// parameters, all of one style.

const functions = [
	["abs", 1], ["length", 1], ["lower", 1], ["upper", 1], ["hex", 1], ["quote", 1], ["typeof", 1], ["unicode", 1],
	["trim", 1], ["ltrim", 1], ["sign", 1], ["round", 1], ["round", 2], ["ifnull", 2], ["nullif", 2], ["instr", 2],
	["substr", 2], ["substr", 3], ["replace", 3], ["coalesce", 3], ["max", 2], ["min", 3], ["iif", 3], ["like", 2],
	["glob", 2], ["json_valid", 1], ["json_quote", 1], ["json_array", 2], ["json_extract", 2], ["json_type", 1],
	["json_object", 2], ["char", 2], ["date", 1], ["datetime", 2], ["julianday", 1], ["strftime", 2], ["sqrt", 1],
	["pow", 2], ["exp", 1], ["mod", 2], ["nosuch", 1],
];
const operators = [
	"+", "-", "*", "/", "%", "||", "&", "|", "<<", ">>", "=", "==", "<>", "<", "<=", ">", ">=", "IS", "IS NOT", "AND",
	"OR", "LIKE", "GLOB", "->>", "IS DISTINCT FROM",
];
const types = ["INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC", "VARCHAR(10)"];

class Writer {
	values = [];
	#named = [];

	constructor(random, style) {
		this.random = random;
		this.style = style;
	}

	literal({ type, value }) {
		switch (type) {
		case "null": return "NULL";
		case "integer": return value === -9223372036854775808n ? "(-9223372036854775807-1)" : `${value}`;
		case "float": return Number.isInteger(value) && Math.abs(value) < 1e15 && !Object.is(value, -0)
			? `${value}.0` : `${value}`;
		case "text": return value.includes(0) ? "'nul'" : `'${value.toString().replaceAll("'", "''")}'`;
		case "blob": return `x'${value.toString("hex")}'`;
		}
	}

	constant(v = anyValue(this.random)) {
		const n = this.values.length;
		if (this.style === "literal" || n > 40)
			return this.literal(v);
		if (this.style === "?NNN" && n > 0 && this.random.chance(0.2))
			return `?${1 + this.random.below(n)}`;
		if (this.style === "named" && n > 0 && this.random.chance(0.2))
			return this.random.pick(this.#named);
		this.values.push(v);
		if (this.style === "?")
			return "?";
		if (this.style === "?NNN")
			return `?${n + 1}`;
		this.#named.push(`${this.random.pick([":", "@", "$"])}v${n}`);
		return this.#named[n];
	}

	get names() {
		return this.#named;
	}

	column(table) {
		return this.random.chance(0.03) ? this.random.pick(["absent", "rowid", "oid"]) : this.random.pick(tables[table]);
	}

	// `table` may be null: no columns.
	expression(table, depth = 2) {
		const r = this.random, inner = () => this.expression(table, depth - 1);
		if (depth === 0 || r.chance(0.3))
			return table !== null && r.chance(0.6) ? this.column(table) : this.constant();
		switch (r.below(10)) {
		case 0: case 1: case 2: return `(${inner()} ${r.pick(operators)} ${inner()})`;
		case 3: case 4: {
			const [name, arity] = r.pick(functions);
			return `${name}(${Array.from({ length: arity }, inner).join(", ")})`;
		}
		case 5: return `CAST(${inner()} AS ${r.pick(types)})`;
		case 6: return `CASE WHEN ${inner()} THEN ${inner()} ELSE ${inner()} END`;
		case 7: return `${inner()} ${r.pick(["", "NOT "])}IN (${r.times(0, 3, inner).join(", ")})`;
		case 8: return `${inner()} BETWEEN ${inner()} AND ${inner()}`;
		default: return r.pick([
			() => `(${inner()} COLLATE ${r.pick(["NOCASE", "RTRIM", "BINARY", "NOSUCH"])})`,
			() => `-${inner()}`, () => `NOT ${inner()}`, () => `${inner()} IS NULL`,
			() => `(SELECT count(*) FROM log)`, () => `EXISTS (SELECT 1 FROM person WHERE id = ${inner()})`,
			() => `printf('%d|%s|%.3f|%x', ${inner()}, ${inner()}, ${inner()}, ${inner()})`,
		])();
		}
	}

	where(table) {
		const r = this.random;
		if (r.chance(0.25))
			return "";
		if (r.chance(0.5))
			return ` WHERE ${this.column(table)} ${r.pick(["=", "<", ">", "IS"])} ${this.constant()}`;
		return ` WHERE ${this.expression(table)}`;
	}
}

// ---- statements

function select(w) {
	const r = w.random, table = r.pick(names);
	return r.pick([
		() => `SELECT ${r.times(1, 5, () => w.expression(null)).join(", ")}`,
		() => `VALUES ${r.times(1, 3, () => `(${w.constant()}, ${w.expression(null)})`).join(", ")}`,
		() => `SELECT * FROM ${table}${w.where(table)} ORDER BY 1 LIMIT 20`,
		() => `SELECT ${r.times(1, 3, () => `${w.expression(table)} AS ${r.pick(["x", "\"a b\"", "id"])}`).join(", ")} FROM ${table}${w.where(table)} LIMIT 10`,
		() => `SELECT count(*), count(${w.column(table)}), sum(${w.column(table)}), total(${w.column(table)}), avg(${w.column(table)}), min(${w.column(table)}), max(${w.column(table)}) FROM ${table}${w.where(table)}`,
		() => `SELECT ${w.column(table)}, count(*) FROM ${table} GROUP BY 1 HAVING ${w.expression(null, 1)} ORDER BY 1, 2`,
		() => `SELECT p.*, q.title, q.stars FROM person p ${r.pick(["", "LEFT ", "CROSS "])}JOIN post q ON q.author = p.id ORDER BY q.id, p.id LIMIT ${w.constant(value.integer(r))}`,
		() => `SELECT id, sum(score) OVER (ORDER BY id ROWS 2 PRECEDING), row_number() OVER (PARTITION BY age ORDER BY id) FROM person ORDER BY id`,
		() => `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${w.constant({ type: "integer", value: BigInt(r.below(30)) })}) SELECT i, i * i FROM n`,
		() => `SELECT ${w.constant()} UNION${r.pick([" ALL", ""])} SELECT ${w.constant()} ${r.pick(["", "ORDER BY 1"])}`,
		() => `SELECT rowid, title, highlight(page, 0, '[', ']') FROM page(${w.constant({ type: "text", value: Buffer.from(r.pick(["a", "b", "abc", "a OR b", "title:a", "\"", "a*"])) })}) ORDER BY rank`,
		() => `SELECT key, value, type FROM json_each(${w.constant({ type: "text", value: Buffer.from(r.pick(["[1,2.5,\"x\",null,true]", "{\"a\":{\"b\":1}}", "nonsense", "[]"])) })})`,
		() => `PRAGMA ${r.pick(["table_info(post)", "table_xinfo(post)", "foreign_key_list(tag)", "index_list(loose)", "user_version", "foreign_keys", "foreign_key_check", "integrity_check", "encoding", "page_size", "table_info(nosuch)"])}`,
		() => `SELECT changes(), last_insert_rowid()`,
		() => `EXPLAIN QUERY PLAN SELECT * FROM ${table} WHERE ${w.expression(table)}`,
		() => `SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name`,
	])();
}

const conflict = (r) => (r.chance(0.4) ? ` OR ${r.pick(["REPLACE", "IGNORE", "FAIL", "ABORT", "ROLLBACK"])}` : "");

function returning(w, table) {
	if (!w.random.chance(0.25))
		return "";
	return ` RETURNING ${w.random.pick([() => "*", () => w.column(table), () => `${w.column(table)} AS it, ${w.expression(table, 1)}`])()}`;
}

// What suits the column most of the time, so that most of them succeed.
function cell(w, table, column) {
	const r = w.random, small = { type: "integer", value: BigInt(1 + r.below(12)) };
	if (r.chance(0.12))
		return w.expression(null);
	if (table === "firm")
		return w.constant(column === "f" ? anyValue(r) : value[{ a: "integer", b: "integer", c: "float", d: "text", e: "blob" }[column]](r));
	switch (column) {
	case "id": case "author": return w.constant(r.chance(0.3) ? { type: "null" } : small);
	case "post": return w.constant(small);
	case "name": case "title": case "word": case "what": case "body": return w.constant(value.text(r));
	case "email": return w.constant(r.chance(0.4) ? { type: "null" } : value.text(r));
	case "age": return w.constant(r.chance(0.9) ? small : anyValue(r));
	case "photo": return w.constant(value.blob(r));
	default: return w.constant();
	}
}

function insert(w) {
	const r = w.random, table = r.pick(names), verb = r.chance(0.1) ? "REPLACE" : `INSERT${conflict(r)}`;
	const columns = r.chance(0.5) ? tables[table] : tables[table].filter(() => r.chance(0.8));
	if (columns.length === 0)
		return `${verb} INTO ${table} DEFAULT VALUES`;
	const row = () => `(${columns.map((column) => cell(w, table, column)).join(", ")})`;
	const source = r.chance(0.15) ? `SELECT ${columns.map((column) => cell(w, table, column)).join(", ")} FROM person LIMIT ${r.below(3)}`
		: `VALUES ${r.times(1, 3, row).join(", ")}`;
	const upsert = r.chance(0.15) ? ` ON CONFLICT DO ${r.pick([() => "NOTHING", () => `UPDATE SET ${r.pick(columns)} = ${w.constant()}`])()}` : "";
	return `${verb} INTO ${table}(${columns.join(", ")}) ${source}${upsert}${returning(w, table)}`;
}

function update(w) {
	const r = w.random, table = r.pick(names);
	const set = r.times(1, 2, () => {
		const column = r.pick(tables[table]);
		return `${column} = ${r.chance(0.7) ? cell(w, table, column) : w.expression(table)}`;
	});
	return `UPDATE${conflict(r)} ${table} SET ${set.join(", ")}${w.where(table)}${returning(w, table)}`;
}

function remove(w) {
	const r = w.random, table = r.pick(names);
	return `DELETE FROM ${table} WHERE ${r.pick(tables[table])} ${r.pick(["=", ">", "<"])} ${w.constant()} AND ${w.expression(table, 1)}${returning(w, table)}`;
}

function define(w) {
	const r = w.random, name = `x${r.below(3)}`;
	return r.pick([
		() => `CREATE TABLE ${name}(a INTEGER PRIMARY KEY CHECK (a < 1000000), b ${r.pick(types)}, c UNIQUE)`,
		() => `CREATE TABLE IF NOT EXISTS ${name}(a, b)`,
		() => `CREATE TABLE ${name} AS SELECT id, title FROM post`,
		() => `DROP TABLE ${name}`,
		() => `DROP TABLE IF EXISTS ${name}`,
		() => `ALTER TABLE ${name} ADD COLUMN d${r.below(3)} ${r.pick(["", "INT DEFAULT 3", "TEXT NOT NULL", "NOT NULL DEFAULT 'x'"])}`,
		() => `ALTER TABLE ${name} RENAME COLUMN b TO e`,
		() => `ALTER TABLE ${name} DROP COLUMN b`,
		() => `ALTER TABLE ${name} RENAME TO x${r.below(3)}`,
		() => `CREATE INDEX ${name}_i ON ${name}(b)`,
		() => `DROP INDEX ${name}_i`,
		() => `CREATE VIEW ${name}_v AS SELECT * FROM ${name}`,
		() => `DROP VIEW IF EXISTS ${name}_v`,
		() => `INSERT INTO ${name} DEFAULT VALUES`,
		() => `INSERT INTO ${name}(a, b) VALUES (${w.constant()}, ${w.constant()})`,
		() => `SELECT * FROM ${name} ORDER BY 1`,
		() => `REINDEX`,
		() => `PRAGMA user_version = ${r.below(100)}`,
		() => `PRAGMA ${r.pick(["foreign_keys", "defer_foreign_keys", "recursive_triggers", "case_sensitive_like"])} = ${r.below(2)}`,
		() => `CREATE TEMP TABLE IF NOT EXISTS passing(a, b)`,
		() => `INSERT INTO passing VALUES (${w.constant()}, 1)`,
		() => `SELECT * FROM passing`,
	])();
}

function transact(w) {
	return w.random.pick([
		"BEGIN", "BEGIN IMMEDIATE", "BEGIN DEFERRED", "BEGIN TRANSACTION READONLY", "COMMIT", "COMMIT", "END", "ROLLBACK",
		"SAVEPOINT one", "SAVEPOINT two", "RELEASE one", "RELEASE two", "ROLLBACK TO one", "ROLLBACK TO two",
	]);
}

function broken(w) {
	return w.random.pick([
		"SELEC 1", "SELECT", "SELECT 'open", "SELECT 1 FROM", "SELECT absent", "SELECT * FROM nosuch", "SELECT nosuch(1)",
		"INSERT INTO person(absent) VALUES (1)", "INSERT INTO person VALUES (1)", "CREATE TABLE person(a)", "DROP TABLE nosuch",
		"SELECT 1 ORDER BY 7", "SELECT count(*) OVER ()", "SELECT sum(sum(1))", "UPDATE person SET", "SELECT (1, 2)", "SELECT 1 +",
		"SELECT [x", "SELECT x'0'", "SELECT #", "INSERT INTO reader(posts) VALUES (1)", "DELETE FROM reader",
		"SELECT abs(-9223372036854775807 - 1)", "SELECT json('{')", "SELECT 1 WHERE 1 MATCH 2", "SELECT * FROM json_each('[')",
		"INSERT INTO person(id) VALUES ('no number')", "SELECT zeroblob(2000000000)", "SELECT length(zeroblob(100000))",
		"ALTER TABLE person ADD COLUMN extra NOT NULL", "CREATE INDEX nosuch_i ON nosuch(a)", "INSERT INTO post(title_len) VALUES (1)",
		"SELECT 9223372036854775807 + 1, -9223372036854775808, 9223372036854775808, 1e999, -1e999, 9e999 - 9e999",
		"SELECT CAST(x'61ff62' AS TEXT), CAST(x'00' AS TEXT), CAST(x'c3' AS TEXT), x'', '', NULL",
	]);
}

const kinds = [
	[select, 34], [insert, 26], [update, 10], [remove, 5], [define, 9], [transact, 12], [broken, 4],
];
const total = kinds.reduce((sum, [, weight]) => sum + weight, 0);

// Whether a statement is one that changes rows, and so has a last_insert_rowid.
export const changesRows = (sql) => /^(\s|\/\*.*?\*\/)*(INSERT|UPDATE|DELETE|REPLACE)\b/i.test(sql);

// A setting acts while it is prepared, in SQLite itself.
export const isSetting = (sql) => /PRAGMA \w+ =/.test(sql);

const styles = ["literal", "?", "?", "?", "?NNN", "named"];

// { sql, values, names }: names of the parameters, when they have some.
export function statement(random, style = random.pick(styles)) {
	const writer = new Writer(random, style);
	let at = random.below(total);
	const [make] = kinds.find(([, weight]) => (at -= weight) < 0);
	const sql = make(writer);
	return { sql, values: writer.values, names: writer.names };
}
