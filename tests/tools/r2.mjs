// A local R2: miniflare's S3 endpoint on a free port of loopback.
//
//	node r2.mjs DIR [PORT]
//
// Objects live in DIR, so that a store that is stopped and started again still
// has them.  Prints "ready <endpoint>"; the bucket is `holdfast`.  It ends with
// whoever started it: nothing is left behind when a test is killed.

import { Miniflare } from "miniflare";
import { followParent } from "./follow-parent.mjs";
import { bucket, credentials } from "./s3.mjs";

const [dir, port = "0"] = process.argv.slice(2);
if (!dir) {
	console.error("usage: r2.mjs DIR [PORT]");
	process.exit(2);
}

const store = new Miniflare({
	host: "127.0.0.1",
	port: Number(port),
	cf: false,
	modules: true,
	script: "export default { fetch() { return new Response('up') } }",
	compatibilityDate: "2026-07-01",
	r2Buckets: { BUCKET: { id: bucket, s3Credentials: credentials } },
	r2Persist: dir,
});

async function end() {
	await store.dispose();
	process.exit(0);
}

followParent(end);
for (const signal of ["SIGTERM", "SIGINT"])
	process.on(signal, end);
console.log("ready", new URL("/cdn-cgi/local/r2/s3", await store.ready).href);
