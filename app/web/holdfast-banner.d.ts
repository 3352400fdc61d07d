import type { Holdfast } from "./holdfast.js";

export class HoldfastBanner extends HTMLElement {
	// null: nothing is watched, unless `for` names one.
	holdfast: Holdfast | null;
}

declare global {
	interface HTMLElementTagNameMap {
		"holdfast-banner": HoldfastBanner;
	}
}
