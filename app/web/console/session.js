// Who is signed in: a token, and what it says of itself.  It lies in sessionStorage,
// so it goes with the tab, and travels in a header alone, never in an address.
// Whether it is good only the server knows; what is read here is for showing.

const key = "holdfast.token";

// { token, user, expires (Date or null), readOnly }, or null for what is no JWT.
export function readToken(token) {
	try {
		const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
		const bytes = Uint8Array.from(atob(part), (c) => c.charCodeAt(0));
		const claims = JSON.parse(new TextDecoder().decode(bytes));

		if (token.split(".").length !== 3 || typeof claims.sub !== "string")
			return null;
		return {
			token,
			user: claims.sub,
			expires: Number.isFinite(claims.exp) ? new Date(claims.exp * 1000) : null,
			readOnly: claims.a === "ro",
		};
	} catch {
		return null;
	}
}

export function savedSession() {
	return readToken(sessionStorage.getItem(key) ?? "");
}

export function saveSession({ token }) {
	sessionStorage.setItem(key, token);
}

export function dropSession() {
	sessionStorage.removeItem(key);
}
