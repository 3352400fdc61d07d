// Good and bad traffic at random, and a store that fails and heals.
//
//	traffic.mjs URL SECONDS SEED KEYS SOCKETS CONTROL KILLS
//
// KEYS is a folder with ALG.jwk, which are good, and wrong.jwk, which is not; SOCKETS the
// folder of the program's; CONTROL the fault proxy's; with KILLS=1 workers are killed, and
// a client may be told that the outcome is unknown.
//
// Prints what came back, by status and code, and what is wrong, and ends with 1 if
// anything is.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { CompactSign, UnsecuredJWT, importJWK } from "jose";
import { dice } from "../crash/dice.mjs";
import { followParent } from "../tools/follow-parent.mjs";
import { complain, tally } from "./answer.mjs";
import { Client } from "./client.mjs";
import { Mischief } from "./mischief.mjs";

const [url, seconds, seed, keys, sockets, control, kills] = process.argv.slice(2);
const nusers = 20, nmallories = 3, nmischiefs = 5;
const algorithms = ["HS256", "EdDSA", "ES256", "RS256"];

followParent(() => process.exit(1));

// ---- tokens

const now_s = () => Math.floor(Date.now() / 1000);
const readKey = async (name) => {
	const { alg, kid, ...jwk } = JSON.parse(readFileSync(join(keys, `${name}.jwk`)));
	return { key: await importJWK(jwk, alg), header: { alg, kid } };
};
const good_keys = await Promise.all(algorithms.map(readKey));
const wrong_key = await readKey("wrong");

function sign({ key, header }, claims) {
	return new CompactSign(Buffer.from(JSON.stringify(claims))).setProtectedHeader(header).sign(key);
}

// All users' tokens, renewed while they are still good: user i signs with algorithm i % 4.
const tokens = new Map();
const users = [...Array(nusers).keys()].map((i) => `user${i}`);
const mallories = [...Array(nmallories).keys()].map((i) => `mallory${i}`);

async function renewTokens() {
	for (const [i, sub] of [...users, ...mallories].entries()) {
		const key = good_keys[i % good_keys.length];
		tokens.set(sub, await sign(key, { sub, exp: now_s() + 120 }));
		tokens.set(`${sub} ro`, await sign(key, { sub, exp: now_s() + 120, a: "ro" }));
	}
}

const token = (user, { a } = {}) => tokens.get(a ? `${user} ${a}` : user);

async function forge(sub, roll) {
	const key = good_keys[roll(good_keys.length)];
	const good = token(sub);
	const at = roll(good.length - 1);
	const [head, payload, signature] = good.split(".");
	const ways = [
		() => sign(key, { sub, exp: now_s() - 100 - roll(1000) }),
		() => sign(key, { sub, exp: now_s() + 100, nbf: now_s() + 90 }),
		() => sign(key, { sub }),
		() => sign(key, { sub: ["", "../x", ".x", "x".repeat(65), 7, null][roll(6)], exp: now_s() + 100 }),
		() => sign(wrong_key, { sub, exp: now_s() + 100 }),
		() => sign({ ...wrong_key, header: { alg: "EdDSA", kid: "none" } }, { sub, exp: now_s() + 100 }),
		() => new UnsecuredJWT({ sub, exp: now_s() + 100 }).encode(),
		// Not the last character, which has bits that say nothing.
		() => good.slice(0, at) + (good[at] === "A" ? "B" : "A") + good.slice(at + 1),
		() => good.slice(0, at),
		() => `${head}.${payload}.${signature.slice(0, -4)}`,
		() => `${head}..${signature}`,
		() => "A".repeat(roll(6000) + 1),
	];

	return ways[roll(ways.length)]();
}

// ---- the store

const weathers = [
	{ action: "status", status: 503 }, { action: "status", status: 429, retry_after: 1 },
	{ action: "status", status: 500 }, { action: "refuse" }, { action: "reset" }, { action: "silent" },
	{ action: "lose-answer", method: "PUT" }, { action: "late", method: "PUT", ms: 300 },
	{ action: "delay", before_ms: 200 }, { action: "garbage" },
	{ action: "throttle", method: "PUT", bytes_per_s: 50000 },
	{ action: "cut-request", method: "PUT", after: 3000 }, { action: "duplicate", method: "PUT" },
	{ action: "status-though-stored", method: "PUT", status: 500 },
];

async function controlStore(method, path, body) {
	const response = await fetch(`http://127.0.0.1:${control}${path}`,
		{ method, ...(body && { body: JSON.stringify(body) }) });
	await response.arrayBuffer();
}

async function weather(until, roll) {
	while (Date.now() < until) {
		await pause(500 + roll(4000));
		const rule = weathers[roll(weathers.length)];
		const whole = ["refuse", "reset", "silent"].includes(rule.action);
		await controlStore("POST", "/rules", { ...rule, ...(!whole && roll(2) && { path: `user${roll(nusers)}/` }) });
		await pause(Math.max(0, Math.min(roll(4000), until - Date.now())));
		await controlStore("DELETE", "/rules");
		await controlStore("DELETE", "/log");
	}
}

// ---- all of it

await renewTokens();
const renewal = setInterval(renewTokens, 50000);
const until = Date.now() + seconds * 1000;
const folder = readdirSync(sockets).filter((name) => name.endsWith(".sock")).map((name) => join(sockets, name));
const clients = users.flatMap((user, i) => Array.from({ length: i < 4 ? 2 : 1 },
	(_, n) => new Client(url, user, n, token, dice(`${seed} ${user} ${n}`))));
const mischiefs = Array.from({ length: nmischiefs },
	(_, i) => new Mischief(url, mallories, token, forge, folder, dice(`${seed} mischief ${i}`)));

await Promise.all([
	...clients.map((client) => client.run(until)),
	...mischiefs.map((mischief) => mischief.run(until)),
	weather(until, dice(`${seed} weather`)),
]);
for (const client of clients)
	await client.finish();
clearInterval(renewal);

const sum = (name) => clients.reduce((total, client) => total + client[name], 0);
for (const [name, n] of Object.entries(tally.seen).sort(([, a], [, b]) => b - a))
	console.log(`${n}\t${name}`);
console.log(`seed ${seed}: ${sum("acked")} writes acknowledged and found, ${sum("unknown")} unknown`);
if (kills !== "1" && sum("unknown") > 0)
	complain(`${sum("unknown")} writes had no answer, and no worker was killed`);
if (clients.some(({ acked }) => acked === 0))
	complain("a client was never let in");
console.log(`${tally.wrong.length} things are wrong`);
process.exit(tally.wrong.length > 0 ? 1 : 0);
