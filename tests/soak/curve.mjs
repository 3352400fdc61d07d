// The memory of the program while it works.
//
//	curve.mjs record MASTER FILE EVERY_MS	a line for each process and moment, until TERM
//	curve.mjs judge FILE			the first third against the last
//
// FILE is a table: seconds, role, pid, RSS and PSS in kB, descriptors, threads.
//
// A quarter of the time is for warming up: connections and pages that are cached,
// the sanitizer's quarantine.  After it nothing should grow.  What is allowed is what
// chance makes of random traffic: a tenth and 4 MB of memory, 16 descriptors (five
// cached connections), two threads (a timer's).  Half a kB lost with each request is
// more than that after half an hour.

import { createWriteStream, readFileSync, readdirSync } from "node:fs";

const [verb, ...rest] = process.argv.slice(2);
const shortest_s = 300;

function number(text, name) {
	return Number(text.match(new RegExp(`^${name}:\\s+(\\d+)`, "m"))?.[1] ?? NaN);
}

// Undefined when it has just ended.
function sample(pid) {
	try {
		const memory = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
		const status = readFileSync(`/proc/${pid}/status`, "utf8");
		return [number(memory, "Rss"), number(memory, "Pss"), readdirSync(`/proc/${pid}/fd`).length,
			number(status, "Threads")];
	} catch (error) {
		if (error.code !== "ENOENT" && error.code !== "ESRCH")
			throw error;
		return undefined;
	}
}

function record(master, file, every_ms) {
	const out = createWriteStream(file, { mode: 0o600 });
	const began = performance.now();
	const put = (role, pid) => {
		const found = sample(pid);
		if (found)
			out.write([Math.round((performance.now() - began) / 100) / 10, role, pid, ...found].join("\t") + "\n");
	};

	out.write("seconds\trole\tpid\trss_kb\tpss_kb\tfds\tthreads\n");
	const timer = setInterval(() => {
		const children = readFileSync(`/proc/${master}/task/${master}/children`, "utf8");
		put("master", master);
		children.trim().split(/\s+/).forEach((pid) => put("worker", pid));
	}, every_ms);
	process.on("SIGTERM", () => {
		clearInterval(timer);
		out.end(() => process.exit(0));
	});
}

function median(numbers) {
	return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}

const columns = [
	{ name: "rss_kb", most: (first) => first * 1.1 + 4096 },
	{ name: "pss_kb", most: (first) => first * 1.1 + 4096 },
	{ name: "fds", most: (first) => first + 16 },
	{ name: "threads", most: (first) => first + 2 },
];

function read(file) {
	const [head, ...lines] = readFileSync(file, "utf8").trim().split("\n").map((line) => line.split("\t"));
	return lines.map((line) => Object.fromEntries(
		line.map((field, i) => [head[i], head[i] === "role" ? field : Number(field)])));
}

function judge(file) {
	const samples = read(file);
	const last = samples.at(-1).seconds;
	const warm = last / 4, third = (last - warm) / 3;
	let grown = false;

	for (const role of ["master", "worker"]) {
		const of_role = samples.filter((s) => s.role === role && s.seconds >= warm);
		for (const { name, most } of columns) {
			const [first, middle, end] = [0, 1, 2].map((i) => median(of_role
				.filter((s) => Math.min(2, Math.floor((s.seconds - warm) / third)) === i)
				.map((s) => s[name])));
			const much = end > most(first);
			grown ||= much;
			console.log(`${role}\t${name}\t${first}\t${middle}\t${end}\t${much ? "GROWS" : ""}`);
		}
	}
	console.log(`${new Set(samples.map((s) => s.pid)).size} processes, ${Math.round(last)} s`);
	if (last < shortest_s)
		console.log(`too short to be judged, which takes ${shortest_s} s`);
	else if (grown)
		process.exit(1);
}

if (verb === "record")
	record(...rest);
else
	judge(...rest);
