// A tool that a test started must not outlive it, however the test ended.  A
// killed parent closes no pipe that others hold too, so we look at whose child
// we are.

export function followParent(end) {
	const parent = process.ppid;
	const timer = setInterval(() => {
		if (process.ppid !== parent) {
			clearInterval(timer);
			end();
		}
	}, 500);
	timer.unref();
}
