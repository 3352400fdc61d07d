// An app, as ../unit/types.mjs has the compiler look at it.
import { createClient } from "@libsql/client";

import { Holdfast, HoldfastError, type SyncDetail, type SyncStatus } from "../../../app/web/holdfast.js";
import { HoldfastBanner } from "../../../app/web/holdfast-banner.js";

const holdfast = new Holdfast({ url: "https://db.example", token: async () => "t", poll: { maxMs: 60_000 } });

createClient({ url: "https://db.example", authToken: "t", fetch: holdfast.fetch });

holdfast.addEventListener("degraded", ({ detail }) => {
	const status: SyncStatus | null = detail.status;
	const since: Date | null = detail.since;
	const error: string | null = detail.lastError;
	console.log(status, since, error);
});
holdfast.addEventListener("healed", { handleEvent: (event) => console.log(event.detail.status) }, { once: true });

const response: Response = await holdfast.fetch(new URL("https://db.example/v1/execute"), { method: "POST" });
const stored: boolean = await holdfast.retry().catch((error: unknown) => {
	if (error instanceof HoldfastError)
		console.log(error.status, error.code);
	return false;
});
const detail: SyncDetail = await holdfast.detail();
console.log(response.status, stored, detail.kept[0]?.bytes);
holdfast.token = "another";
holdfast.token = null;
Holdfast.watch("db", (one) => one.close(), { signal: new AbortController().signal });

const banner = document.querySelector("holdfast-banner");
if (banner instanceof HoldfastBanner)
	banner.holdfast = holdfast;

// @ts-expect-error
new Holdfast({ token: "t" });
// @ts-expect-error
holdfast.status = "ok";
// @ts-expect-error
holdfast.status === "fine";
// @ts-expect-error
holdfast.addEventListener("degraded", ({ detail }) => detail.reason);
// @ts-expect-error
document.createElement("holdfast-banner").holdfast = "db";
