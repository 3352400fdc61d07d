// The types of app/web, as an app's compiler sees them.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { test } from "node:test";
import { promisify } from "node:util";

const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const project = new URL("../types", import.meta.url).pathname;

test("a strict compiler accepts what is right and refuses what is wrong", async () => {
	const { stdout, code } = await promisify(execFile)(process.execPath, [compiler, "-p", project]).catch(
		(error) => error,
	);

	assert.equal(stdout, "");
	assert.equal(code, undefined);
});
