// What must hold of a user after a crash.
//
//	node check.mjs stored ENDPOINT FOLDER RECORD USER
//		with the program dead: what it had said to be in the store is there
//	node check.mjs healed ENDPOINT FOLDER RECORD USER DB TXID
//		with the user clean: DB is a copy of the database, DB-wal and
//		DB-index of its WAL and its wal-index, TXID what GET /v1/sync says
//	node check.mjs resolved ENDPOINT FOLDER RECORD USER DB TXID OTHER KEPT...
//		the same after a conflict: OTHER is the record of the other host,
//		KEPT are the databases that lost
//	node check.mjs unchanged ENDPOINT FOLDER
//		no object has changed since it was first seen
//
// FOLDER is ours.  It keeps every object that was ever seen: in `all`, and pushes
// in `pushes`, too; and by user the states that were checked.  The program that
// restores is $HOLDFAST.  Prints what was seen in one line, or what is wrong, and
// then ends with 1.

import { execFile } from "node:child_process";
import {
	appendFileSync, existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync,
	truncateSync, writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { get, list } from "../tools/s3.mjs";

const [verb, endpoint, folder, record, user, db, said_txid, other, ...kept] = process.argv.slice(2);
const all = join(folder, "all"), pushes = join(folder, "pushes");
const run = promisify(execFile);
const wrong = [];
const must = (holds, what) => {
	if (!holds)
		wrong.push(what);
	return holds;
};

// ---- the store

function parse(key) {
	const found = key.match(/\/(\d{4})\/([0-9a-f]{16})-([0-9a-f]{16})\.ltx$/);

	if (!found)
		return [];
	const [, level, min, max] = found;
	return [{ key, level: Number(level), min: parseInt(min, 16), max: parseInt(max, 16) }];
}

const path_of = (where, key) => join(where, key.slice("u/".length));

async function fetchOne({ key, level }) {
	const file = path_of(all, key);

	if (existsSync(file))
		return;
	mkdirSync(dirname(file), { recursive: true });
	writeFileSync(`${file}.part`, await get(endpoint, key));
	renameSync(`${file}.part`, file);
	if (level === 0) {
		mkdirSync(dirname(path_of(pushes, key)), { recursive: true });
		linkSync(file, path_of(pushes, key));
	}
}

// What is there now.  What retention removes meanwhile is not: then all is asked again.
async function fetchNew(tries = 3) {
	const objects = (await list(endpoint, `u/${user}/`)).flatMap(parse);

	try {
		for (const object of objects)
			await fetchOne(object);
		return objects;
	} catch (problem) {
		if (tries === 1)
			throw problem;
		return fetchNew(tries - 1);
	}
}

// What there is and was, by key.
function remember(objects) {
	const file = join(folder, `${user}.keys`);
	const before = existsSync(file) ? readFileSync(file, "utf8").split("\n").flatMap(parse) : [];
	const known = new Set(before.map((o) => o.key));
	const added = objects.filter((o) => !known.has(o.key));

	appendFileSync(file, added.map((o) => o.key + "\n").join(""));
	return { ever: [...before, ...added], added };
}

async function unchanged() {
	const keys = await list(endpoint, "u/");

	for (const key of keys) {
		const file = path_of(all, key);

		if (existsSync(file))
			must(readFileSync(file).equals(await get(endpoint, key)), `${key} has changed`);
	}
	return `${keys.length} objects`;
}

// The path of a fresh restore, or undefined.
async function restore(txid, store = all) {
	const out = join(folder, `${user}-${txid ?? "latest"}.db`);
	const which = txid === undefined ? [] : ["--txid", String(txid)];

	rmSync(out, { force: true });
	try {
		await run(process.env.HOLDFAST,
			["restore", user, "-o", out, "--store", `file:${store}`, ...which]);
		return out;
	} catch (problem) {
		must(false, `TXID ${txid ?? "latest"} does not restore: ${problem.stderr ?? problem}`);
		return undefined;
	}
}

// ---- a database

const nothing = { step: -1, ids: new Set() };

// What is wrong with it, if anything; and the step at which it is, -1 before the first.
function examine(path) {
	const db = new DatabaseSync(path);
	const row = (sql) => Object.values(db.prepare(sql).get()).join("|");
	const column = (sql) => db.prepare(sql).all().map((r) => Object.values(r)[0]);

	try {
		const sound = row("PRAGMA integrity_check");

		if (sound !== "ok")
			return { torn: sound };
		if (row("SELECT count(*) FROM sqlite_schema WHERE name = 'total'") === "0")
			return nothing;
		const parts = row("SELECT count(*), min(step), max(step) FROM part");
		const step = Number(row("SELECT max(step) FROM part"));
		const log = row("SELECT count(*), coalesce(max(step), 0) FROM log");
		const ballast = row("SELECT count(*), coalesce(sum(length(filling)), 0) FROM ballast");
		const total = row("SELECT n, bytes FROM total");
		const shaped = column("SELECT name FROM shaped").join();
		const columns = column("SELECT name FROM pragma_table_info('shape')").join();
		const indexes = column("SELECT name FROM sqlite_schema WHERE name LIKE 'by %'").join();

		if (parts !== `4|${step}|${step}` || log !== `${step}|${step}` || ballast !== total)
			return { torn: `parts ${parts}, log ${log}, ballast ${ballast}, total ${total}` };
		if (columns !== (shaped && `row,filling,${shaped}`) || indexes !== (shaped && `by ${shaped}`))
			return { torn: `shaped ${shaped}, columns ${columns}, indexes ${indexes}` };
		return { step, ids: new Set(column("SELECT id FROM log UNION ALL SELECT id FROM single")) };
	} finally {
		db.close();
	}
}

function remembered(file = join(record, user)) {
	const ids = { sent: new Set(), acked: new Set(), undone: new Set(), stored: new Set(), seen: new Set() };
	const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];

	for (const line of lines) {
		const { id, what } = JSON.parse(line);

		ids[what].add(id);
	}
	return ids;
}

const some = (list) => `${list.length} (${list.slice(0, 5).join(", ")})`;

function mustHave(ids, wanted, what) {
	const missing = [...wanted].filter((id) => !ids.has(id));

	must(missing.length === 0, `${what}: ${some(missing)}`);
}

function mustHaveNone(ids, unwanted, what) {
	const found = [...ids].filter(unwanted);

	must(found.length === 0, `${what}: ${some(found)}`);
}

// ---- with the program dead

async function stored() {
	const { stored: ids } = remembered();
	const objects = await fetchNew();

	if (ids.size === 0 && objects.length === 0)
		return "nothing yet";
	const path = await restore();
	if (path === undefined)
		return "";
	const seen = examine(path);
	rmSync(path);
	if (must(!seen.torn, `the latest in the store is torn: ${seen.torn}`))
		mustHave(seen.ids, ids, "said to be stored and is not");
	return `${ids.size} said to be stored`;
}

// ---- with the user clean

// The TXIDs to which these objects lead, from the first transaction on.
function reachable(objects) {
	const reached = new Set([0]);

	for (const { min, max } of [...objects].sort((a, b) => a.max - b.max)) {
		for (let from = min - 1; from < max && !reached.has(max); from++)
			if (reached.has(from))
				reached.add(max);
	}
	reached.delete(0);
	return reached;
}

// Every transaction has its object, or one that holds it and others.
function checkKeys(objects) {
	const last = objects.reduce((max, o) => Math.max(max, o.max), 0);
	const held = new Set();

	for (const { min, max } of objects)
		for (let txid = min; txid <= max; txid++)
			held.add(txid);
	const missing = Array.from({ length: last }, (_, i) => i + 1).filter((txid) => !held.has(txid));

	must(missing.length === 0, `a hole in the TXIDs, missing: ${some(missing)}`);
	must(last === 0 || reachable(objects).has(last), `no chain leads to TXID ${last}`);
	must(last === Number(said_txid), `the last TXID is ${last}, GET /v1/sync says ${said_txid}`);
	return last;
}

async function checkOne(txid) {
	const path = await restore(txid);

	if (path === undefined)
		return -1;
	const seen = examine(path);
	rmSync(path);
	must(!seen.torn, `TXID ${txid} is torn: ${seen.torn}`);
	return seen.step ?? -1;
}

// Every state that was not checked before: { txid, step } of the newest.
async function checkStates(ever, from, branches) {
	const txids = [...reachable(ever)].filter((txid) => txid > from.txid).sort((a, b) => a - b);
	let { txid, step } = from;

	for (const next of txids) {
		const now = await checkOne(next);

		must(branches || now >= step, `TXID ${next} is at step ${now}, the one before at ${step}`);
		txid = next;
		step = now;
		if (wrong.length > 0)
			break;
	}
	return { txid, step, states: txids.length };
}

// An object that holds several transactions leads where the pushes lead.
async function checkMerged(ever, added) {
	const by_pushes = reachable(ever.filter((o) => o.level === 0));

	for (const { key, max } of added.filter((o) => o.level > 0 && by_pushes.has(o.max))) {
		const merged = await restore(max);
		const bytes = merged && readFileSync(merged);
		const pushed = await restore(max, pushes);

		if (bytes && pushed)
			must(differingPages(bytes, readFileSync(pushed)).length === 0,
				`${key} leads elsewhere than the pushes`);
	}
}

// Byte for byte, but for the two that say whether a WAL lies beside it.
function differingPages(a, b) {
	const page_size = a.readUInt16BE(16) === 1 ? 65536 : a.readUInt16BE(16);
	const pages = [];

	for (const file of [a, b])
		file.fill(0, 18, 20);
	for (let at = 0; at < Math.max(a.length, b.length); at += page_size)
		if (!a.subarray(at, at + page_size).equals(b.subarray(at, at + page_size)))
			pages.push(at / page_size + 1);
	return pages;
}

// A writer that was killed may have left a commit in the WAL that its index does
// not have, and which never happened as long as anybody has the database open.
// Read without the index it would be there.
function cutWal(path) {
	const index = readFileSync(`${path}-index`);
	const frame_bytes = 24 + (index.readUInt16LE(14) === 1 ? 65536 : index.readUInt16LE(14));
	const frames = index.readUInt32LE(16);

	truncateSync(`${path}-wal`, frames === 0 ? 0 : 32 + frames * frame_bytes);
}

function withoutWal(path) {
	if (existsSync(`${path}-index`) && existsSync(`${path}-wal`))
		cutWal(path);
	const db = new DatabaseSync(path);

	db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
	db.close();
	return readFileSync(path);
}

// What is here is in the store, page by page; and what that restores to.
async function checkCopies(branches) {
	const checked = join(folder, `${user}.checked`);
	const from = existsSync(checked) ? JSON.parse(readFileSync(checked, "utf8"))
		: { txid: 0, step: -1 };
	const objects = await fetchNew();
	const last = checkKeys(objects);
	const { ever, added } = remember(objects);
	const local = withoutWal(db);
	const here = examine(db);

	must(!here.torn, `the local database is torn: ${here.torn}`);
	// Who was never let in, in a round of bad luck, is nowhere.
	const restored = last === 0 && here.step === -1 ? undefined : await restore();
	if (restored !== undefined) {
		const pages = differingPages(local, readFileSync(restored));

		must(pages.length === 0, `the restore differs in pages ${some(pages)}`);
		rmSync(restored);
	}
	const to = await checkStates(ever, from, branches);
	must(to.txid < last || to.step === here.step,
		`the store is at step ${to.step}, here is ${here.step}`);
	await checkMerged(ever, added);
	writeFileSync(checked, JSON.stringify(to));
	return { ids: here.ids ?? new Set(), last, states: to.states, ever };
}

async function healed() {
	const known = remembered();
	const { ids, last, states } = await checkCopies(false);
	const unknown = [...known.sent].filter((id) => !known.acked.has(id) && !known.undone.has(id));

	mustHave(ids, known.acked, "acknowledged and missing here");
	mustHave(ids, known.seen, "was here before and is missing");
	mustHaveNone(ids, (id) => !known.sent.has(id), "here and never sent");
	mustHaveNone(ids, (id) => known.undone.has(id), "here though undone");
	appendFileSync(join(record, user), [...ids].filter((id) => !known.seen.has(id))
		.map((id) => JSON.stringify({ id, what: "seen" }) + "\n").join(""));
	return `${known.acked.size} acked, ${unknown.length} unknown, ${ids.size} here, TXID ${last}, ` +
		`${states} states restored`;
}

// Whoever lost is kept, or is in the store as it was when it lost.
async function resolved() {
	const here = remembered(), there = remembered(join(other, user));
	const { ids, last, states, ever } = await checkCopies(true);
	const found = new Set(ids);

	for (const path of kept) {
		const lost = examine(path);

		must(!lost.torn, `${path} is torn: ${lost.torn}`);
		for (const id of lost.ids ?? [])
			found.add(id);
	}
	for (const txid of reachable(ever)) {
		const path = await restore(txid);

		for (const id of examine(path).ids ?? [])
			found.add(id);
		rmSync(path);
	}
	const sent = new Set([...here.sent, ...there.sent]);
	mustHave(found, here.acked, "acknowledged here, and neither here nor kept");
	mustHave(found, there.acked, "acknowledged there, and not in the store");
	mustHaveNone(found, (id) => !sent.has(id), "here and never sent");
	mustHaveNone(found, (id) => here.undone.has(id) || there.undone.has(id), "here though undone");
	return `${here.acked.size} + ${there.acked.size} acked, ${ids.size} here, TXID ${last}, ` +
		`${kept.length} kept, ${states} states restored`;
}

const verbs = { stored, healed, resolved, unchanged };
if (!Object.hasOwn(verbs, verb ?? "")) {
	console.error(`usage: check.mjs ${Object.keys(verbs).join("|")} ENDPOINT FOLDER ...`);
	process.exit(2);
}
mkdirSync(all, { recursive: true });
mkdirSync(pushes, { recursive: true });
const summary = await verbs[verb]();
if (wrong.length > 0) {
	for (const what of wrong)
		console.error(`${user ?? "store"}: ${what}`);
	process.exit(1);
}
console.log(`${user ?? "store"}: ${summary}`);
