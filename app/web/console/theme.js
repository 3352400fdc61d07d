// Light, dark, or what the system says; the buttons marked data-theme-toggle go
// round.  The choice is kept in this browser, for all users of it.
{
	const key = "holdfast.theme";
	const themes = ["system", "light", "dark"];
	const names = { system: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
	let theme = "system";

	// Storage may be forbidden; then the choice lasts as long as the page.
	try {
		if (themes.includes(localStorage.getItem(key)))
			theme = localStorage.getItem(key);
	} catch {}

	const apply = () => {
		document.documentElement.dataset.theme = theme;
		for (const button of document.querySelectorAll("[data-theme-toggle]"))
			button.textContent = names[theme];
	};

	apply();
	addEventListener("DOMContentLoaded", apply);
	addEventListener("click", (event) => {
		if (!event.target.closest("[data-theme-toggle]"))
			return;
		theme = themes[(themes.indexOf(theme) + 1) % themes.length];
		try {
			localStorage.setItem(key, theme);
		} catch {}
		apply();
	});
}
