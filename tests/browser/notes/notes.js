// An app as one would write it: notes of the user whose token comes with the address,
// #<url of Holdfast> <token>.
import { Holdfast } from "/web/holdfast.js";
import "/web/holdfast-banner.js";

const [url, token] = decodeURIComponent(location.hash.slice(1)).split(" ");
const holdfast = new Holdfast({ url, token, id: "notes" });
const form = document.querySelector("form");
const list = document.querySelector("ul");
const problem = document.querySelector("#problem");

async function sql(text, ...values) {
	const args = values.map((value) => ({ type: "text", value }));
	const response = await holdfast.fetch(new URL("v1/execute", url), {
		method: "POST",
		body: JSON.stringify({ stmt: { sql: text, args } }),
	});
	const body = await response.json();

	if (!response.ok)
		throw new Error(body.message);
	return body.result.rows.map((row) => row.map(({ value }) => value));
}

async function show() {
	const notes = await sql("SELECT text FROM note ORDER BY rowid DESC");

	list.replaceChildren(
		...notes.map(([text]) => {
			const item = document.createElement("li");
			item.textContent = text;
			return item;
		}),
	);
}

form.addEventListener("submit", async (event) => {
	event.preventDefault();
	problem.textContent = "";
	try {
		await sql("INSERT INTO note(text) VALUES (?)", form.text.value);
		form.reset();
		await show();
	} catch (error) {
		problem.textContent = error.message;
	}
});

holdfast.addEventListener("change", ({ detail }) => (document.body.dataset.sync = detail.status));
await sql("CREATE TABLE IF NOT EXISTS note(text)");
await show();
document.body.dataset.ready = "";
