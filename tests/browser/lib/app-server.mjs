// A server of an app's own, as strict as nginx is with ours: its pages, a copy of
// app/web, and scripts from and connections to Holdfast on another origin.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";

const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const ours = new URL("../../../app/", import.meta.url);

// The address of the folder, which lies beside this one; `talksTo` is the other origin's.
export async function serveApp(folder, talksTo) {
	const pages = new URL(`../${folder}/`, import.meta.url);
	const { origin } = new URL(talksTo);
	const policy = [
		"default-src 'none'",
		`script-src 'self' ${origin}`,
		"style-src 'self'",
		`connect-src ${origin}`,
		"base-uri 'none'",
		"form-action 'none'",
	].join("; ");
	const server = createServer(async ({ url }, response) => {
		const path = url === "/" ? "index.html" : url.slice(1);
		try {
			const content = await readFile(new URL(path, path.startsWith("web/") ? ours : pages));
			response.setHeader("Content-Type", `${types[extname(path)]}; charset=utf-8`);
			response.setHeader("Content-Security-Policy", policy);
			response.end(content);
		} catch {
			response.statusCode = 404;
			response.end();
		}
	});

	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}
