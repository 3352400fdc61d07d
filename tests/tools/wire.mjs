// One TCP connection read as HTTP/1.1, byte for byte.
//
// Nothing is rewritten: a head is handed on as the bytes it came in, a body as
// pieces marked payload or chunk framing.  Reading is on demand, so that a slow
// reader makes a slow writer, and freeze() turns a connection into one whose
// peer has fallen silent.

import { readFileSync } from "node:fs";

const head_limit = 64 * 1024;

// Thrown out of any wait on a connection that is no more.
export class Gone extends Error {}

export class Wire {
	#socket;
	#pending = Buffer.alloc(0);
	#ended = false;
	#wake = () => {};

	constructor(socket) {
		this.#socket = socket;
		this.frozen = false;
		this.closed = false;
		this.whenClosed = new Promise((resolve) => {
			socket.once("close", () => {
				this.closed = true;
				resolve();
				this.#wake();
			});
		});
		socket.on("readable", () => this.#wake());
		socket.on("end", () => {
			this.#ended = true;
			this.#wake();
		});
		socket.on("error", () => {});
		socket.setNoDelay(true);
	}

	// At least one byte and at most `max`; null at the end.
	async more(max = Infinity) {
		while (this.#pending.length === 0) {
			await this.#thaw();
			const piece = this.#socket.read();

			if (piece) {
				this.#pending = piece;
				break;
			}
			if (this.#ended)
				return null;
			if (this.closed)
				throw new Gone();
			await new Promise((resolve) => { this.#wake = resolve; });
		}
		const piece = this.#pending.subarray(0, max);

		this.#pending = this.#pending.subarray(piece.length);
		return piece;
	}

	async #until(found, limit) {
		let seen = Buffer.alloc(0);

		for (;;) {
			const piece = await this.more();
			if (piece === null) {
				if (seen.length === 0)
					return null;
				throw new Gone();
			}
			seen = Buffer.concat([seen, piece]);
			const end = found(seen);
			if (end > 0) {
				this.#pending = Buffer.concat([seen.subarray(end), this.#pending]);
				return seen.subarray(0, end);
			}
			if (seen.length > limit)
				throw new Gone();
		}
	}

	// The bytes up to and with the empty line; null if the peer has closed.
	async head() {
		return this.#until((seen) => {
			const end = seen.indexOf("\r\n\r\n");
			return end < 0 ? 0 : end + 4;
		}, head_limit);
	}

	async #line() {
		const line = await this.#until((b) => b.indexOf("\n") + 1, head_limit);
		if (line === null)
			throw new Gone();
		return line;
	}

	// Yields { bytes, payload }.  `most` bounds a piece.
	async *body(framing, most = Infinity) {
		if (framing === "close") {
			for (let bytes; (bytes = await this.more(most)) !== null;)
				yield { bytes, payload: true };
		} else if (framing === "chunked") {
			for (;;) {
				const line = await this.#line();
				const length = parseInt(line.toString("latin1"), 16);

				yield { bytes: line, payload: false };
				if (length === 0)
					break;
				yield* this.#exactly(length, most, true);
				yield* this.#exactly(2, most, false);
			}
			let line;
			do {
				line = await this.#line();
				yield { bytes: line, payload: false };
			} while (line.length > 2);
		} else {
			yield* this.#exactly(framing, most, true);
		}
	}

	async *#exactly(length, most, payload) {
		for (let left = length; left > 0;) {
			const bytes = await this.more(Math.min(left, most));
			if (bytes === null)
				throw new Gone();
			left -= bytes.length;
			yield { bytes, payload };
		}
	}

	async write(bytes) {
		await this.#thaw();
		if (this.closed || this.#socket.destroyed)
			throw new Gone();
		if (this.#socket.write(bytes))
			return;
		await Promise.race([
			new Promise((resolve) => this.#socket.once("drain", resolve)),
			this.whenClosed,
		]);
	}

	// From now on nothing is read or written.  There is no way back: whoever
	// gave up on a silent connection never learns that it could speak again.
	freeze() {
		this.frozen = true;
		this.#wake();
	}

	async #thaw() {
		if (this.frozen) {
			await this.peerGone();
			throw new Gone();
		}
	}

	// Resolves when the other end has closed, be it behind bytes that nobody reads, or
	// when it is enough().
	async peerGone(enough = () => false) {
		while (!this.closed && !enough() && await peerAfterAWhile(this.#socket))
			;
	}

	close() {
		this.#socket.end(() => this.#socket.destroy());
	}

	reset() {
		if (!this.closed)
			this.#socket.resetAndDestroy();
	}
}

// A close that queues behind unread bytes is not reported to us.  But the other
// end is on this machine too, so the kernel's list of connections tells.  One
// look serves everybody who asks within the same moment.
let nextLook = null;

async function peerAfterAWhile(socket) {
	nextLook ??= new Promise((resolve) => setTimeout(() => {
		nextLook = null;
		resolve(readFileSync("/proc/net/tcp", "latin1"));
	}, 25));

	const connections = await nextLook;
	if (socket.destroyed || socket.remotePort === undefined)
		return false;
	const hex = (port) => "0100007F:" + port.toString(16).toUpperCase().padStart(4, "0");
	const established = "01";

	return connections.includes(` ${hex(socket.remotePort)} ${hex(socket.localPort)} ${established} `);
}

const header = (head, name) =>
	head.toString("latin1").match(new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*\\r$`, "im"))?.[1];

const framing = (head, otherwise) => {
	if (/chunked/i.test(header(head, "transfer-encoding") ?? ""))
		return "chunked";
	const length = header(head, "content-length");
	return length === undefined ? otherwise : Number(length);
};

const lasting = (head) =>
	!/close/i.test(header(head, "connection") ?? "") && !/^[^\r]*HTTP\/1\.0/.test(head.toString("latin1"));

export function parseRequest(head) {
	const [, method, target] = head.toString("latin1").match(/^(\S+) (\S+) /) ?? [];
	const [path, query = ""] = (target ?? "").split("?");
	const decode = (text) => {
		try {
			return decodeURIComponent(text);
		} catch {
			return text;
		}
	};

	return {
		method,
		path: decode(path),
		query: decode(query),
		framing: framing(head, 0),
		lasting: lasting(head),
	};
}

export function parseAnswer(head, method) {
	const status = Number(head.toString("latin1").match(/^HTTP\/1\.\d (\d{3})/)?.[1]);
	const bodyless = method === "HEAD" || status === 204 || status === 304;

	return {
		status,
		framing: bodyless ? 0 : framing(head, "close"),
		lasting: lasting(head),
	};
}
