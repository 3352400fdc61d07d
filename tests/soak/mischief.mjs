// Traffic that no client of good will sends.  Whatever comes back as HTTP is judged
// like any other answer.

import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { complain, execute, judge, send, text } from "./answer.mjs";
import { hostile } from "./hostile.mjs";

const posts = ["/v1/execute", "/v1/batch", "/v2/pipeline", "/v3/pipeline", "/v3/cursor", "/v1/sync/resolve"];
const good_body = JSON.stringify({
	baton: null, stmt: { sql: "SELECT 1" }, keep: "x",
	batch: { steps: [{ stmt: { sql: "SELECT ?", args: [{ type: "text", value: "\u00e4\ud83d\ude00" }] } }] },
	requests: [{ type: "execute", stmt: { sql: "SELECT 1" } }, { type: "close" }],
});
const silent_s = 1.5;

export class Mischief {
	#all = [
		["brokenJson", 6], ["strangeJson", 6], ["deepJson", 2], ["hugeNumbers", 4], ["hostileSql", 8],
		["wrongToken", 6], ["wrongBaton", 4], ["wrongPlace", 5], ["rawHttp", 4], ["cutBody", 3],
		["halfOpen", 2], ["abortedDownload", 2], ["tooLarge", 1], ["leftOpen", 1], ["garbageToSocket", 3],
	].flatMap(([name, weight]) => Array(weight).fill(name));

	// `sockets` are the program's own, where nginx is not in between.
	constructor(url, users, token, forge, sockets, roll) {
		const { hostname, port } = new URL(url);
		Object.assign(this, { url, users, token, forge, sockets, roll, hostname, port });
	}

	one(list) {
		return list[this.roll(list.length)];
	}

	user() {
		return this.one(this.users);
	}

	bytes(n) {
		return Buffer.from(Array.from({ length: n }, () => this.roll(256)));
	}

	send(request) {
		return send(this.url, { token: this.token(this.user()), ...request });
	}

	// Unless there is no time for it.
	async expect(status, request) {
		const answer = await this.send(request);
		if (![0, 429, 503, status].includes(answer.status))
			complain(`${JSON.stringify(request).slice(0, 200)}: ${answer.status}, want ${status}`);
	}

	// ---- bodies

	async brokenJson() {
		const at = this.roll(good_body.length);
		const body = this.one([
			good_body.slice(0, at),
			good_body.slice(0, at) + this.one(['"', "}", "[", "\\u12", "\u0000", ",", "-", "1e", "tru"]) +
				good_body.slice(at + 1),
			this.bytes(this.roll(500)).toString("latin1"),
			good_body + good_body,
		]);
		await this.send({ path: this.one(posts), body });
	}

	// JSON, but not what was asked for: a value somewhere is replaced.
	async strangeJson() {
		const body = JSON.parse(good_body);
		let at = body;
		for (;;) {
			const key = this.one(Object.keys(at));
			if (typeof at[key] === "object" && at[key] !== null && this.roll(3)) {
				at = at[key];
				continue;
			}
			at[key] = this.one([null, true, [], {}, "", "x", -1, 1.5, [[]], { type: "close" }]);
			break;
		}
		await this.send({ path: this.one(posts), body });
	}

	async deepJson() {
		const depth = this.one([20, 200, 5000, 100000]);
		const [open, end] = this.one([["[", "]"], ['{"a":', "}"], ['{"type":"not","cond":', "}"]]);
		const deep = open.repeat(depth) + "1" + end.repeat(depth);
		const body = this.one([deep, `{"stmt":{"sql":"SELECT 1","args":[${deep}]}}`,
			`{"batch":{"steps":[{"stmt":{"sql":"SELECT 1"}},{"condition":${deep},"stmt":{"sql":"SELECT 1"}}]}}`]);
		await this.send({ path: this.one(posts), body });
	}

	async hugeNumbers() {
		const n = this.one(["9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e999",
			"-0", "1".repeat(5000), `0.${"0".repeat(400)}1`, "4294967296", "1e-400"]);
		const body = this.one([
			`{"stmt":{"sql":"SELECT ?","args":[{"type":"float","value":${n}}]}}`,
			`{"stmt":{"sql":"SELECT ?","args":[{"type":"integer","value":"${n}"}]}}`,
			`{"stmt":{"sql":"SELECT ${n}, ${n} * 2"}}`,
			`{"requests":[{"type":"close_sql","sql_id":${n}},{"type":"execute","stmt":{"sql_id":${n}}}]}`,
			`{"batch":{"steps":[{"condition":{"type":"ok","step":${n}},"stmt":{"sql":"SELECT 1"}}]}}`,
		]);
		await this.send({ path: this.one(posts), body });
	}

	async tooLarge() {
		const [bytes, status] = this.one([[5 << 20, 413], [1 << 20, 200]]);
		await this.expect(status, execute("SELECT length(?)", text("x".repeat(bytes))));
	}

	// ---- SQL

	async hostileSql() {
		const sql = this.one(hostile);
		await this.send(this.one([
			execute(sql),
			{ path: "/v2/pipeline", body: { requests: [{ type: "sequence", sql }, { type: "close" }] } },
			{ path: "/v3/cursor", body: { batch: { steps: [{ stmt: { sql } }, { stmt: { sql: "SELECT 1" } }] } } },
			{ path: "/v3/pipeline", body: { requests: [{ type: "describe", sql }, { type: "execute", stmt: { sql } },
				{ type: "close" }] } },
		]));
	}

	async leftOpen() {
		const requests = ["BEGIN IMMEDIATE", "CREATE TEMP TABLE x(a)"].map((sql) => ({ type: "execute", stmt: { sql } }));
		await this.send({ path: "/v3/pipeline", body: { requests } });
	}

	// ---- who and where

	async wrongToken() {
		const token = await this.forge(this.user(), this.roll);
		await this.expect(401, { ...execute("SELECT 1"), token });
	}

	async wrongBaton() {
		const requests = [{ type: "store_sql", sql_id: 1, sql: "SELECT 1" }];
		const { baton } = await this.send({ path: "/v3/pipeline", body: { requests } });
		const at = this.roll(baton?.length ?? 1);
		const bad = this.one(["", "x", this.bytes(90).toString("base64url"), baton?.slice(0, at),
			baton?.slice(0, at) + this.one(["A", "_", "="]) + baton?.slice(at + 1), `${baton}${baton}`]);
		await this.send({ path: "/v3/pipeline", body: { baton: bad, requests: [] } });
		if (baton)
			await this.send({ path: "/v3/pipeline", body: { baton, requests: [{ type: "close" }] } });
	}

	async wrongPlace() {
		const method = this.one(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PROPFIND"]);
		const path = this.one([...posts, "/", "/v1", "/v2/", "/v3-protobuf/pipeline", "/metrics", "/healthz",
			"/readyz", "/v1/sync/kept/", "/v1/sync/kept/..%2f..%2fdb.sqlite", "/v1/sync/kept/%00",
			"/../../etc/passwd", `/${"a".repeat(5000)}`, "/%ff%fe", "/v1/execute?x=1", "/.malformed"]);
		await this.send({ method, path, body: this.roll(2) ? good_body : "" });
	}

	// ---- connections

	// What came back, if it was one answer and whole, or ''.
	talk(where, pieces, patience_ms) {
		return new Promise((resolve) => {
			const socket = connect(where);
			const got = [];
			const timer = setTimeout(() => socket.destroy(), patience_ms);

			socket.on("error", () => {});
			socket.on("data", (piece) => got.push(piece));
			socket.on("close", () => {
				clearTimeout(timer);
				resolve(Buffer.concat(got).toString("latin1"));
			});
			socket.on("connect", () => pieces.forEach((piece) => socket.write(piece)));
		});
	}

	get nginx() {
		return { host: this.hostname, port: this.port };
	}

	head(more) {
		return `POST /v1/execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${this.token(this.user())}\r\n${more}`;
	}

	async rawHttp() {
		const close = "Connection: close\r\n\r\n";
		const said = await this.talk(this.nginx, [this.one([
			this.bytes(this.roll(2000)),
			`${this.one(["TRACE", "CONNECT", "G\u0000T", "get", "A".repeat(100)])} / HTTP/1.1\r\nHost: x\r\n${close}`,
			`GET ${this.one(["*", "//v2", "http://x/v2", "/a b", "\\", "/%zz"])} HTTP/1.1\r\nHost: x\r\n${close}`,
			`GET /v2 HTTP/${this.one(["0.9", "1.0", "2.0", "9.9"])}\r\n\r\n`,
			this.head(`Content-Length: ${this.one(["-1", "x", "1e3", "99999999999999999999", "0\r\nContent-Length: 5"])}\r\n${close}`),
			this.head(`Transfer-Encoding: ${this.one(["chunked", "gzip", "chunked, chunked"])}\r\n${close}zz\r\n`),
			this.head(`X: ${"y".repeat(40000)}\r\n${close}`),
			this.head(`Expect: 100-continue\r\nContent-Length: 3\r\n${close}abc`),
		])], 3000);
		const [, status, body] = said.match(/^HTTP\/1\.1 (\d{3}) [^]*?\r\n\r\n([^]*)$/) ?? [];
		if (status !== undefined && status !== "100" && !/^transfer-encoding/im.test(said))
			judge(Number(status), body, "raw HTTP");
	}

	async cutBody() {
		const body = good_body.slice(0, this.roll(good_body.length));
		await this.talk(this.nginx, [this.head(`Content-Length: ${good_body.length}\r\n\r\n${body}`)],
			this.roll(300));
	}

	async halfOpen() {
		const request = this.head(`Content-Length: ${good_body.length}\r\n\r\n{`);
		await this.talk(this.nginx, [request.slice(0, this.roll(request.length))], this.roll(5000));
	}

	async abortedDownload() {
		const body = JSON.stringify(execute("SELECT hex(randomblob(700000))").body);
		const socket = connect(this.nginx);

		socket.on("error", () => {});
		socket.write(`${this.head(`Content-Length: ${body.length}`)}\r\n\r\n${body}`);
		await Promise.race([new Promise((resolve) => socket.once("data", resolve)), pause(3000)]);
		socket.destroy();
	}

	// ---- FastCGI, with nobody who would speak it well
	//
	// The lengths inside of the parameters are left alone: libfcgi before 2.4.5 believes
	// them (CVE-2025-23016), and whoever can write to the sockets is believed anyway.

	record(type, content, { version = 1, id = 1, length = content.length, padding = 0 } = {}) {
		const head = Buffer.from([version, type, id >> 8, id & 255, length >> 8, length & 255, padding, 0]);
		return Buffer.concat([head, content, Buffer.alloc(padding)]);
	}

	params(more = {}) {
		const given = { REQUEST_METHOD: "POST", SCRIPT_NAME: "/v1/execute", CONTENT_LENGTH: "3",
			HTTP_AUTHORIZATION: `Bearer ${this.token(this.user())}`, ...more };
		const long = (n) => Buffer.from([128 | n >> 24, n >> 16 & 255, n >> 8 & 255, n & 255]);
		return Buffer.concat(Object.entries(given).flatMap(([name, value]) =>
			[long(name.length), long(value.length), Buffer.from(name), Buffer.from(value)]));
	}

	async garbageToSocket() {
		const begin = this.record(1, Buffer.from([0, this.roll(4), this.roll(2), 0, 0, 0, 0, 0]));
		const params = this.params({ [this.one(["X", "CONTENT_LENGTH", "REQUEST_METHOD", "SCRIPT_NAME"])]:
			this.one(["", "-1", "99999999999999999999", "x".repeat(30000), "/\u0001", "a\r\nb"]) });
		const whole = [begin, this.record(4, params), this.record(4, Buffer.alloc(0)),
			this.record(5, Buffer.from("{}x")), this.record(5, Buffer.alloc(0))];
		const bytes = Buffer.concat(whole);

		await this.talk(this.one(this.sockets), [this.one([
			this.bytes(this.roll(4000)),
			bytes.subarray(0, this.roll(bytes.length)),
			bytes,
			Buffer.concat([...whole.slice(0, 1), this.record(2, Buffer.alloc(0)), ...whole.slice(1)]),
			Buffer.concat([begin, begin, ...whole.slice(1)]),
			this.record(9, params),
			this.record(this.roll(256), this.bytes(100), { id: this.roll(65536), padding: this.roll(256) }),
			this.record(4, this.bytes(50), { length: 65535 }),
			this.record(1, this.bytes(8), { version: this.roll(256) }),
		])], this.roll(silent_s * 1000));
	}

	async run(until) {
		while (Date.now() < until) {
			await this[this.one(this.#all)]();
			await pause(this.roll(150));
		}
	}
}
