// SQLite's values, as the server sends them, for people, for spreadsheets and for CSV.
//
// Integers come as strings and stay so, because a JavaScript number has 53 bits of one.

export function bytesOf(value) {
	return Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0));
}

function hex(bytes) {
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function sizeText(bytes) {
	const units = ["bytes", "KB", "MB", "GB"];
	let i = 0;

	if (bytes === 1)
		return "1 byte";
	while (bytes >= 1000 && i < units.length - 1) {
		bytes /= 1000;
		i++;
	}
	return `${i === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${units[i]}`;
}

// 2.0 is not 2 to SQLite, so it is not shown like it.  JSON has no infinity: null.
function realText(value) {
	if (value === null)
		return "±Infinity";
	return Number.isInteger(value) && Math.abs(value) < 1e15 ? value.toFixed(1) : String(value);
}

// All of it, as text.
export function fullText(value) {
	switch (value.type) {
	case "null":
		return "";
	case "float":
		return realText(value.value);
	case "blob":
		return hex(bytesOf(value));
	default:
		return value.value;
	}
}

const blobShown = 12;

// { text, more }: what fits a table's cell; `more`: there is more to see of it.
export function cellText(value, max = 160) {
	if (value.type === "null")
		return { text: "NULL", more: false };
	if (value.type === "blob") {
		const bytes = bytesOf(value);
		const start = hex(bytes.subarray(0, blobShown));

		return {
			text: `x'${start}${bytes.length > blobShown ? "…" : ""}' ${sizeText(bytes.length)}`,
			more: bytes.length > blobShown,
		};
	}
	const text = fullText(value);

	if (text.length <= max && !text.includes("\n"))
		return { text, more: false };
	return {
		text: `${text.slice(0, max).replaceAll("\n", "⏎")}${text.length > max ? "…" : ""}`,
		more: true,
	};
}

// 16 bytes a line: offset, hex, what of it is ASCII.
export function dump(value) {
	const bytes = bytesOf(value);
	const lines = [];
	const max = 64 * 1024;

	for (let i = 0; i < Math.min(bytes.length, max); i += 16) {
		const line = bytes.subarray(i, i + 16);
		const ascii = Array.from(line, (b) =>
			b >= 32 && b < 127 ? String.fromCharCode(b) : ".",
		);
		const pairs = hex(line).replace(/../g, "$& ").padEnd(48);

		lines.push(`${i.toString(16).padStart(8, "0")}  ${pairs} ${ascii.join("")}`);
	}
	if (bytes.length > max)
		lines.push(`… ${sizeText(bytes.length - max)} more`);
	return lines.join("\n");
}

// RFC 4180.  NULL is an empty field and the empty text a quoted one.
export function csv(cols, rows) {
	const field = (text) =>
		/["\r\n,]|^$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
	const lines = [cols.map((col) => field(col.name ?? ""))];

	for (const row of rows)
		lines.push(
			row.map((value) => (value.type === "null" ? "" : field(fullText(value)))),
		);
	return lines.map((line) => `${line.join(",")}\r\n`).join("");
}

// As spreadsheets paste it.
export function tsv(cols, rows) {
	const field = (text) => (/["\r\n\t]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
	const lines = [
		cols.map((col) => field(col.name ?? "")),
		...rows.map((row) => row.map((v) => field(fullText(v)))),
	];

	return lines.map((line) => line.join("\t")).join("\n");
}
