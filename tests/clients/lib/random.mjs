// A stream of choices that its seed fixes.

export class Random {
	#state;

	constructor(seed) {
		this.#state = seed >>> 0;
	}

	// mulberry32
	#next() {
		this.#state = (this.#state + 0x6d2b79f5) >>> 0;
		let t = this.#state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return (t ^ (t >>> 14)) >>> 0;
	}

	below(n) {
		return Math.floor((this.#next() / 2 ** 32) * n);
	}

	chance(p) {
		return this.below(1000) < p * 1000;
	}

	pick(list) {
		return list[this.below(list.length)];
	}

	// times(1, 4, make): an array of 1 to 4 of them
	times(least, most, make) {
		return Array.from({ length: least + this.below(most - least + 1) }, (_, i) => make(i));
	}

	bytes(len) {
		return Buffer.from(Array.from({ length: len }, () => this.below(256)));
	}

	bits64() {
		return (BigInt(this.#next()) << 32n) | BigInt(this.#next());
	}
}
