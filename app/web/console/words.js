// Numbers, times and the sync state in words.

export const plural = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

export function msText(ms) {
	if (ms < 0.05)
		return "< 0.1 ms";
	if (ms < 10)
		return `${ms.toFixed(1)} ms`;
	return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

export const errorText = {
	connect: "The store cannot be reached.",
	timeout: "The store is silent.",
	broken: "The store cuts connections off.",
	server: "The store fails: it answers with an error of its own.",
	throttled: "The store asks for patience.",
	credentials: "The store refuses this server's keys.",
	config: "The store does not know the bucket or the path.",
	clock: "This server's clock is wrong, so the store refuses what it sends.",
	busy: "More users wait for the store than there are transfers.",
	disk: "This server's disk is full or cannot be written.",
	damaged: "The store answers something that is not an object.",
	missing: "Somebody has removed objects from the store; a snapshot is being written in their place.",
	conflict: "Another server has written to the same database.",
};

const safe = "What waits is safe on this server's disk, and it is tried again.";

const asked = "It is asked again every two seconds; the numbers are what it said last.";

export const commits = (n) => plural(n, "commit");

export function clockText(date, withSeconds = true) {
	const time = {
		hour: "2-digit",
		minute: "2-digit",
		second: withSeconds ? "2-digit" : undefined,
	};
	const today = new Date().toDateString() === date.toDateString();

	return date.toLocaleString(
		"en-GB",
		today ? time : { day: "numeric", month: "short", ...time },
	);
}

// { state, badge, title, text }: a class, a few words, a sentence, and the reason.
export function statusWords(watch) {
	const { state, trouble } = watch;

	if (trouble !== null) {
		const isSilent = trouble.status === 0;

		return {
			state: "unreachable",
			badge: isSilent ? "No answer" : "Not available",
			title: isSilent ? "The server does not answer" : "The server cannot say",
			text: isSilent ? asked : `${trouble.message}. ${asked}`,
		};
	}
	if (state === null)
		return { state: "unknown", badge: "…", title: "Asking the server", text: "" };
	const waiting = state.pending_commits;
	const reason = errorText[state.last_error] ?? `The last push failed (${state.last_error}).`;

	switch (state.status) {
	case "ok":
		return {
			state: "ok",
			badge: "In step",
			title: "In step with the store",
			text: "Everything that was committed is in the store.",
		};
	case "dirty":
		return {
			state: "dirty",
			badge: "On its way",
			title: `${commits(waiting)} on the way`,
			text: "Safe on this server's disk, and being pushed.",
		};
	case "conflict":
		return {
			state: "conflict",
			badge: "Conflict",
			title: "Two histories",
			text: errorText.conflict,
		};
	default:
		return {
			state: "failed",
			badge: waiting > 0 ? `Behind by ${waiting}` : "Behind",
			title:
				waiting > 0
					? `${commits(waiting)} not in the store`
					: "The store is not all right",
			text: waiting > 0 ? `${reason} ${safe}` : reason,
		};
	}
}
