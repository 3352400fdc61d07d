// Random numbers that a seed repeats: dice("any text") returns roll(n), 0 <= roll(n) < n.

import { createHash } from "node:crypto";

export function dice(seed) {
	let state = createHash("sha256").update(seed).digest().readUInt32LE();

	// xorshift32, which must not start at 0.
	state ||= 1;
	return (n) => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % n;
	};
}
