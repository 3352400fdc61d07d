// Keys and tokens of another signer, for tests of what the program accepts.
//
//	node jose.mjs key ALG FILE [KID]	FILE.jwk; FILE.pem if it is a pair; and of that the
//						public halves FILE.pub.jwk and FILE.pub.pem
//	node jose.mjs sign FILE HEADER PAYLOAD	prints a token; FILE is a .jwk, or any file, whose
//						bytes are then the secret; HEADER (JSON) goes on
//						top of the key's alg and kid
//	node jose.mjs unsigned PAYLOAD		alg "none"

import { readFileSync, writeFileSync } from "node:fs";
import {
	CompactSign,
	UnsecuredJWT,
	exportJWK,
	exportPKCS8,
	exportSPKI,
	generateKeyPair,
	generateSecret,
	importJWK,
} from "jose";

const write = (path, text) => writeFileSync(path, text, { mode: 0o600 });

async function makeKey(alg, file, kid) {
	const names = { alg, kid };

	if (alg === "HS256") {
		const secret = await generateSecret(alg, { extractable: true });
		write(`${file}.jwk`, JSON.stringify({ ...(await exportJWK(secret)), ...names }));
		return;
	}
	const pair = await generateKeyPair(alg, { extractable: true });
	write(`${file}.jwk`, JSON.stringify({ ...(await exportJWK(pair.privateKey)), ...names }));
	write(`${file}.pem`, await exportPKCS8(pair.privateKey));
	write(`${file}.pub.jwk`, JSON.stringify({ ...(await exportJWK(pair.publicKey)), use: "sig", ...names }));
	write(`${file}.pub.pem`, await exportSPKI(pair.publicKey));
}

async function readKey(file) {
	const bytes = readFileSync(file);

	if (!file.endsWith(".jwk")) return { key: new Uint8Array(bytes), header: { alg: "HS256" } };
	const { alg, kid, ...jwk } = JSON.parse(bytes);
	return { key: await importJWK(jwk, alg), header: kid === undefined ? { alg } : { alg, kid } };
}

async function sign(file, more, payload) {
	const { key, header } = await readKey(file);
	const whole = { ...header, ...JSON.parse(more) };
	const crit = Object.fromEntries((whole.crit ?? []).map((name) => [name, true]));

	return new CompactSign(new TextEncoder().encode(payload)).setProtectedHeader(whole).sign(key, { crit });
}

const [verb, ...rest] = process.argv.slice(2);
if (verb === "key") await makeKey(...rest);
else if (verb === "sign") console.log(await sign(...rest));
else if (verb === "unsigned") console.log(new UnsecuredJWT(JSON.parse(rest[0])).encode());
else throw new Error(`what is '${verb}'?`);
