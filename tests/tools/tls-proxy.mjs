// TLS in front of a server on loopback: what comes over it is passed on as it is.
//
//	node tls-proxy.mjs CERTIFICATE KEY PORT SEEN [TLS_VERSION]
//
// Prints "ready <its own port>".  The file SEEN has a line for each connection over which
// bytes came that only the holder of KEY can read: what a client that trusted us has sent.
// With TLS_VERSION (TLSv1.1, ...) it speaks no newer one.

import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { createServer } from "node:tls";
import { followParent } from "./follow-parent.mjs";

const [certificate, key, port, seen, maxVersion = "TLSv1.3"] = process.argv.slice(2);

if (!seen) {
	console.error("usage: tls-proxy.mjs CERTIFICATE KEY PORT SEEN [TLS_VERSION]");
	process.exit(2);
}
writeFileSync(seen, "");

const server = createServer({
	cert: readFileSync(certificate),
	key: readFileSync(key),
	maxVersion,
	minVersion: "TLSv1",
	ciphers: "DEFAULT@SECLEVEL=0",
}, (client) => {
	const target = connect(Number(port), "127.0.0.1");

	client.once("data", (bytes) => appendFileSync(seen, `${bytes.toString("latin1").split("\r\n")[0]}\n`));
	client.pipe(target).pipe(client);
	for (const [one, other] of [[client, target], [target, client]])
		one.on("error", () => other.destroy());
});

server.on("tlsClientError", () => {});
followParent(() => process.exit(0));
for (const signal of ["SIGTERM", "SIGINT"])
	process.on(signal, () => process.exit(0));
server.listen(0, "127.0.0.1", () => console.log("ready", server.address().port));
