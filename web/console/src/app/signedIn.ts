/** Whether this browser was signed in before, so that a sign-in that has ended is told from a first visit. */

const KEY = "hopline.signedIn";

export function rememberSignedIn(): void {
	try {
		localStorage.setItem(KEY, "1");
	} catch {
		// Without storage the sign-in page has less to say, that is all.
	}
}

export function forgetSignedIn(): void {
	try {
		localStorage.removeItem(KEY);
	} catch {
		// As above.
	}
}

export function wasSignedIn(): boolean {
	try {
		return localStorage.getItem(KEY) !== null;
	} catch {
		return false;
	}
}
