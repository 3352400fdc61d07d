// As much of SQL's grammar as an editor needs: where its words and statements are.
// SQLite decides what they mean.

const pattern = new RegExp(
	[
		/(?<comment>--[^\n]*|\/\*[^]*?(?:\*\/|$))/,
		/(?<string>[xX]?'[^']*(?:''[^']*)*(?:'|$))/,
		/(?<name>"[^"]*(?:""[^"]*)*(?:"|$)|`[^`]*(?:`|$)|\[[^\]]*(?:\]|$))/,
		/(?<number>(?:\d[\w.]*|\.\d\w*))/,
		/(?<parameter>[?:@$][\w]*)/,
		/(?<word>[\w\u0080-\uffff][\w$\u0080-\uffff]*)/,
		/(?<space>\s+)/,
		/(?<end>;)/,
		/(?<other>[^])/,
	]
		.map((part) => part.source)
		.join("|"),
	"y",
);

const keywords = new Set(
	`abort action add after all alter always analyze and as asc attach autoincrement before begin
	between by cascade case cast check collate column commit conflict constraint create cross
	current current_date current_time current_timestamp database default deferrable deferred delete
	desc detach distinct do drop each else end escape except exclude exclusive exists explain fail
	filter first following for foreign from full generated glob group groups having if ignore
	immediate in index indexed initially inner insert instead intersect into is isnull join key last
	left like limit match materialized natural no not nothing notnull null nulls of offset on or
	order others outer over partition plan pragma preceding primary query raise range recursive
	references regexp reindex release rename replace restrict returning right rollback row rows
	savepoint select set strict table temp temporary then ties to transaction trigger unbounded union
	unique update using vacuum values view virtual when where window with without`.split(/\s+/),
);

// { kind, text, start, end }, all of the text and in order.  A word that is a
// keyword has the kind "keyword".
export function* tokens(text) {
	pattern.lastIndex = 0;
	while (pattern.lastIndex < text.length) {
		const start = pattern.lastIndex;
		const { groups, 0: found } = pattern.exec(text);
		let kind = Object.keys(groups).find((name) => groups[name] !== undefined);

		if (kind === "word" && keywords.has(found.toLowerCase()))
			kind = "keyword";
		yield { kind, text: found, start, end: start + found.length };
	}
}

// A trigger's body has semicolons of its own, so it ends only with "; END ;", as in
// sqlite3_complete().
const trigger = /^(explain (query plan )?)?create (temp |temporary )?trigger /;

// { text, start, end, line } of each statement; comments between them belong to none.
export function statements(text) {
	const found = [];
	let words = [];
	let start = -1;
	let end = -1;
	let line = 1;

	const finish = () => {
		if (start >= 0) {
			line += text.slice(found.at(-1)?.end ?? 0, start).split("\n").length - 1;
			found.push({ text: text.slice(start, end), start, end, line });
			line += text.slice(start, end).split("\n").length - 1;
		}
		words = [];
		start = -1;
	};

	for (const token of tokens(text)) {
		if (token.kind === "space" || token.kind === "comment")
			continue;
		if (token.kind === "end") {
			const isTrigger = trigger.test(`${words.slice(0, 6).join(" ")} `);

			if (!isTrigger || (words.at(-1) === "end" && words.at(-2) === ";")) {
				finish();
				continue;
			}
		}
		if (start < 0)
			start = token.start;
		end = token.end;
		words.push(token.text.toLowerCase());
	}
	finish();
	return found;
}

// A name as SQL takes it, quoted where it has to be.
export function quoted(name) {
	if (/^[A-Za-z_]\w*$/.test(name) && !keywords.has(name.toLowerCase()))
		return name;
	return `"${name.replaceAll('"', '""')}"`;
}
