// A second, independent signer and client for the store, for tests that look
// into it or write to it as another host would.
//
//	node s3.mjs list   ENDPOINT PREFIX
//	node s3.mjs get    ENDPOINT KEY >FILE
//	node s3.mjs put    ENDPOINT KEY <FILE	unconditional
//	node s3.mjs delete ENDPOINT KEY
//	node s3.mjs mirror ENDPOINT PREFIX DIR	every object below PREFIX as a file below DIR

import { createHash, createHmac } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const bucket = "holdfast";
export const credentials = { accessKeyId: "local-key", secretAccessKey: "local+secret/=" };

const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const hmac = (key, data) => createHmac("sha256", key).update(data).digest();
const encode = (text) =>
	encodeURIComponent(text).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());

function authorization(method, url, headers) {
	const query = url.search.slice(1).split("&").filter(Boolean).sort().join("&");
	const names = Object.keys(headers).sort();
	const request = [
		method,
		url.pathname,
		query,
		...names.map((name) => `${name}:${headers[name]}`),
		"",
		names.join(";"),
		headers["x-amz-content-sha256"],
	].join("\n");
	const date = headers["x-amz-date"];
	const scope = `${date.slice(0, 8)}/auto/s3/aws4_request`;
	const key = scope.split("/").reduce(hmac, "AWS4" + credentials.secretAccessKey);
	const signature = hmac(key, ["AWS4-HMAC-SHA256", date, scope, sha256(request)].join("\n"));

	return `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, ` +
		`SignedHeaders=${names.join(";")}, Signature=${signature.toString("hex")}`;
}

// What to send: { url, headers }, signed for the host of the endpoint.
export function sign(endpoint, method, key, { query = {}, body, headers = {} } = {}) {
	const path = [bucket, ...key.split("/")].map(encode).join("/").replace(/\/$/, "");
	const search = Object.entries(query).map(([k, v]) => `${encode(k)}=${encode(v)}`).join("&");
	const url = new URL(`${endpoint}/${path}${search ? "?" + search : ""}`);
	const signed = {
		...headers,
		host: url.host,
		"x-amz-content-sha256": sha256(body ?? ""),
		"x-amz-date": new Date().toISOString().replace(/[-:]|\.\d+/g, ""),
	};

	return { url, headers: { ...signed, authorization: authorization(method, url, signed) } };
}

async function request(endpoint, method, key, options = {}) {
	const { url, headers } = sign(endpoint, method, key, options);
	return fetch(url, { method, body: options.body, headers });
}

async function expectOk(response) {
	if (!response.ok)
		throw new Error(`${response.status} ${await response.text()}`);
	return response;
}

const unescapeXml = (text) =>
	text.replace(/&(lt|gt|quot|apos|amp);/g, (_, name) => ({ lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" })[name]);

export async function list(endpoint, prefix) {
	const keys = [];
	let more = {};

	do {
		const query = { "list-type": "2", prefix, ...more };
		const xml = await (await expectOk(await request(endpoint, "GET", "", { query }))).text();

		keys.push(...[...xml.matchAll(/<Key>([^<]*)<\/Key>/g)].map((m) => unescapeXml(m[1])));
		const token = xml.match(/<NextContinuationToken>([^<]*)</);
		more = token ? { "continuation-token": unescapeXml(token[1]) } : null;
	} while (more);
	return keys;
}

// Once more on a dead connection: while half a gigabyte is written to a file,
// the store closes the one that would be used next.
export async function get(endpoint, key) {
	const ask = () => request(endpoint, "GET", key);
	const response = await expectOk(await ask().catch(ask));
	return Buffer.from(await response.arrayBuffer());
}

const commands = {
	async list(endpoint, prefix) {
		for (const key of await list(endpoint, prefix))
			console.log(key);
	},
	async get(endpoint, key) {
		process.stdout.write(await get(endpoint, key));
	},
	async put(endpoint, key) {
		await expectOk(await request(endpoint, "PUT", key, { body: readFileSync(0) }));
	},
	async delete(endpoint, key) {
		await expectOk(await request(endpoint, "DELETE", key));
	},
	async mirror(endpoint, prefix, dir) {
		for (const key of await list(endpoint, prefix)) {
			const file = join(dir, key.slice(prefix.length));

			mkdirSync(dirname(file), { recursive: true });
			writeFileSync(file, await get(endpoint, key));
		}
	},
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const [verb, ...args] = process.argv.slice(2);

	if (!Object.hasOwn(commands, verb ?? "")) {
		console.error(`usage: s3.mjs ${Object.keys(commands).join("|")} ENDPOINT ...`);
		process.exit(2);
	}
	await commands[verb](...args);
}
