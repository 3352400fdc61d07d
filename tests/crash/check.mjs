// What must hold of a user after a crash.
//
//	node check.mjs stored ENDPOINT FOLDER RECORD USER
//		with the program dead: what it had said to be in the store is there
//	node check.mjs healed ENDPOINT FOLDER RECORD USER DB TXID
//		with the user clean: DB is a copy of the database, DB-wal and
//		DB-index of its WAL and its wal-index, TXID what GET /v1/sync says
//	node check.mjs unchanged ENDPOINT FOLDER
//		no object has changed since it was first seen
//
// FOLDER is ours; it keeps a mirror of the store, and by user the last TXID that
// was checked.  The program that restores is $HOLDFAST.  Prints what was seen in
// one line, or what is wrong, and then ends with 1.

import { execFile } from "node:child_process";
import {
	existsSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { get, list } from "../tools/s3.mjs";

const [verb, endpoint, folder, record, user, db, said_txid] = process.argv.slice(2);
const mirror = join(folder, "mirror");
const run = promisify(execFile);
const wrong = [];
const must = (holds, what) => {
	if (!holds)
		wrong.push(what);
	return holds;
};

// ---- the store

async function fetchNew() {
	const keys = await list(endpoint, `u/${user}/`);

	for (const key of keys) {
		const file = join(mirror, key.slice("u/".length));

		if (existsSync(file))
			continue;
		mkdirSync(dirname(file), { recursive: true });
		writeFileSync(`${file}.part`, await get(endpoint, key));
		renameSync(`${file}.part`, file);
	}
	return keys.map((key) => key.match(/\/(\d{4})\/([0-9a-f]{16})-([0-9a-f]{16})\.ltx$/))
		.filter(Boolean)
		.map(([key, level, min, max]) =>
			({ key, level: Number(level), min: parseInt(min, 16), max: parseInt(max, 16) }));
}

async function unchanged() {
	const keys = await list(endpoint, "u/");

	for (const key of keys) {
		const file = join(mirror, key.slice("u/".length));

		if (existsSync(file))
			must(readFileSync(file).equals(await get(endpoint, key)), `${key} has changed`);
	}
	return `${keys.length} objects`;
}

// The path of a fresh restore, or undefined.
async function restore(txid) {
	const out = join(folder, `${user}-${txid ?? "latest"}.db`);
	const which = txid === undefined ? [] : ["--txid", String(txid)];

	try {
		await run(process.env.HOLDFAST,
			["restore", user, "-o", out, "--store", `file:${mirror}`, ...which]);
		return out;
	} catch (problem) {
		must(false, `TXID ${txid ?? "latest"} does not restore: ${problem.stderr ?? problem}`);
		return undefined;
	}
}

// ---- a database

// What is wrong with it, if anything; and the step at which it is, -1 before the first.
function examine(path) {
	const db = new DatabaseSync(path);
	const row = (sql) => Object.values(db.prepare(sql).get()).join("|");

	try {
		const sound = row("PRAGMA integrity_check");

		if (sound !== "ok")
			return { torn: sound };
		if (row("SELECT count(*) FROM sqlite_schema WHERE name = 'total'") === "0")
			return { step: -1, ids: new Set() };
		const parts = row("SELECT count(*), min(step), max(step) FROM part");
		const step = Number(row("SELECT max(step) FROM part"));
		const log = row("SELECT count(*), coalesce(max(step), 0) FROM log");
		const ballast = row("SELECT count(*), coalesce(sum(length(filling)), 0) FROM ballast");
		const total = row("SELECT n, bytes FROM total");

		if (parts !== `4|${step}|${step}` || log !== `${step}|${step}` || ballast !== total)
			return { torn: `parts ${parts}, log ${log}, ballast ${ballast}, total ${total}` };
		return { step, ids: new Set(db.prepare("SELECT id FROM log").all().map((r) => r.id)) };
	} finally {
		db.close();
	}
}

function remembered() {
	const ids = { sent: new Set(), acked: new Set(), undone: new Set(), stored: new Set() };

	for (const line of readFileSync(record, "utf8").split("\n").filter(Boolean)) {
		const said = JSON.parse(line);

		if (said.user === user)
			ids[said.what].add(said.id);
	}
	return ids;
}

const some = (ids) => `${ids.length} (${ids.slice(0, 5).join(", ")})`;

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

function checkKeys(objects) {
	const pushes = new Set(objects.filter((o) => o.level === 0 && o.min === o.max).map((o) => o.min));
	const last = Math.max(0, ...pushes);
	const missing = Array.from({ length: last }, (_, i) => i + 1).filter((txid) => !pushes.has(txid));

	must(missing.length === 0, `a hole in the TXIDs, missing: ${some(missing)}`);
	must(last === Number(said_txid), `the last TXID is ${last}, GET /v1/sync says ${said_txid}`);
	for (const o of objects)
		must(o.max <= last, `${o.key} is ahead of the pushes`);
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

// Every TXID after the last that was checked: { txid, step } of the newest.
async function checkStates(from, last) {
	let { txid, step } = from;

	while (txid < last && wrong.length === 0) {
		const now = await checkOne(txid + 1);

		must(now >= step, `TXID ${txid + 1} is at step ${now}, the one before at ${step}`);
		txid++;
		step = now;
	}
	return { txid, step };
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
	if (existsSync(`${path}-index`))
		cutWal(path);
	const db = new DatabaseSync(path);

	db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
	db.close();
	return readFileSync(path);
}

async function healed() {
	const ids = remembered();
	const checked = join(folder, `${user}.checked`);
	const from = existsSync(checked) ? JSON.parse(readFileSync(checked, "utf8"))
		: { txid: 0, step: -1 };
	const last = checkKeys(await fetchNew());

	const local = withoutWal(db);
	const seen = examine(db);
	if (must(!seen.torn, `the local database is torn: ${seen.torn}`)) {
		mustHave(seen.ids, ids.acked, "acknowledged and missing here");
		mustHaveNone(seen.ids, (id) => !ids.sent.has(id), "here and never sent");
		mustHaveNone(seen.ids, (id) => ids.undone.has(id), "here though undone");
	}
	// Who was never let in, in a round of bad luck, is nowhere.
	const restored = last === 0 && seen.step === -1 ? undefined : await restore();
	if (restored !== undefined) {
		const pages = differingPages(local, readFileSync(restored));

		must(pages.length === 0, `the restore differs in pages ${some(pages)}`);
		rmSync(restored);
	}
	const to = await checkStates(from, last);
	must(to.txid < last || to.step === seen.step,
		`the store is at step ${to.step}, here is ${seen.step}`);
	writeFileSync(checked, JSON.stringify(to));
	return `${ids.acked.size} acked, ${seen.ids?.size} here, TXID ${last}, ` +
		`${to.txid - from.txid} states restored`;
}

const verbs = { stored, healed, unchanged };
if (!Object.hasOwn(verbs, verb ?? "")) {
	console.error(`usage: check.mjs ${Object.keys(verbs).join("|")} ENDPOINT FOLDER ...`);
	process.exit(2);
}
mkdirSync(mirror, { recursive: true });
const summary = await verbs[verb]();
if (wrong.length > 0) {
	for (const what of wrong)
		console.error(`${user ?? "store"}: ${what}`);
	process.exit(1);
}
console.log(`${user ?? "store"}: ${summary}`);
