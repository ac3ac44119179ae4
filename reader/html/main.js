/* What comes from where: read the data, make the views, tell them what changes. */

/* --- light and dark --- */

const THEMES = ["auto", "light", "dark"];

/* A file from disk may not be allowed to store anything: then it is forgotten. */
function storedTheme() {
	try {
		return localStorage.getItem("trackexec-theme") || "auto";
	} catch {
		return "auto";
	}
}

function setTheme(theme, redraw) {
	if (theme === "auto")
		delete document.documentElement.dataset.theme;
	else
		document.documentElement.dataset.theme = theme;
	byId("theme").textContent = `Theme: ${theme}`;
	try {
		localStorage.setItem("trackexec-theme", theme);
	} catch {
		/* See above. */
	}
	redraw();
}

function listenToTheme(redraw) {
	let theme = THEMES.includes(storedTheme()) ? storedTheme() : "auto";

	setTheme(theme, () => {});
	byId("theme").addEventListener("click", () => {
		theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
		setTheme(theme, redraw);
	});
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

/* --- head, notices, summary --- */

function showHead(data) {
	const title = data.name ? showHidden(data.name) : "Trace";
	const about = [
		data.pid && `PID ${data.pid}`, data.python && `Python ${data.python}`,
		data.host && `on ${data.host}`,
		formatClock(data, 0, true) + (data.time_zone ? ` ${data.time_zone}` : ""),
		data.is_whole ? null : "a part of the trace",
	].filter(Boolean);

	byId("title").textContent = title;
	byId("about").textContent = showHidden(about.join(" · "));
	document.title = `${title} – trackexec report`;
	byId("foot").textContent = `${data.trace} · trackexec ${data.program} · ` +
		`${formatCount(data.slices)} slices of ${formatDuration(data.slice_ns)}: ` +
		"the selection goes by whole slices, sums are exact.";
}

function notices(data) {
	const all = [];

	if (data.is_damaged)
		all.push(`This trace is damaged: what could be read is shown${data.lost_blocks ?
			`; ${formatCount(data.lost_blocks)} blocks with ${formatCount(data.lost_events)} ` +
			"transitions are lost" : ""}.`);
	if (!data.has_ended)
		all.push("The recording had not ended when this report was made.");
	if (data.edges === "none")
		all.push("It is not known when threads were on a CPU: running and waiting can't be told apart.");
	if (data.edges === "coarse")
		all.push("When threads were on a CPU is known to some milliseconds only.");
	if (data.other_ns)
		all.push(`Stacks with less than ${formatDuration(data.other_below_ns)} were put together ` +
			`as “(other)”, ${formatDuration(data.other_ns)} in all, to keep this file small. ` +
			"A report of a part of the trace (--since, --until, --thread) shows more.");
	if (!data.nRows)
		all.push("Nothing was recorded in this interval.");
	return all;
}

function tile(name, value, sub) {
	return make("div", {class: "tile"}, make("dt", {text: name}),
		    make("dd", {}, make("span", {class: "tile-value", text: value}),
			 make("span", {class: "tile-sub", text: sub || ""})));
}

function showSummary(model) {
	const {data, sums, observed} = model, [from, to] = model.interval();
	const idle = sums[CATEGORY.idle], gap = sums[GAP];
	const cpu = sums[CATEGORY.cpu] + sums[CATEGORY.unknown];
	const waits = observed - cpu - idle;
	const hasEdges = data.edges !== "none";

	byId("summary-interval").textContent = model.isWhole() ?
		`All of ${formatDuration(to - from)}` :
		`${formatClock(data, from)} – ${formatClock(data, to)}`;
	byId("tiles").replaceChildren(
		tile("Duration", formatDuration(to - from), model.isWhole() ?
			`${formatCount(data.events)} transitions` :
			`${formatPercent(to - from, data.span_ns)} of the report`),
		tile("Threads", formatCount(model.threads.size), `of ${formatCount(data.threads.length)}`),
		tile("Observed", formatDuration(observed), "all threads together"),
		...(hasEdges ? [
			tile("On CPU", formatDuration(cpu), formatPercent(cpu, observed)),
			tile("Waiting", formatDuration(waits), formatPercent(waits, observed)),
			tile("Idle", formatDuration(idle), formatPercent(idle, observed))] : []),
		tile("Gaps", gap > 0 ? formatDuration(gap) : "none",
		     gap > 0 ? formatPercent(gap, gap + observed) : "all of it was observed"));
	showShare(model);
}

function showShare(model) {
	const {sums} = model, all = sums.reduce((a, b) => a + b, 0);
	const parts = [...CATEGORIES, {key: "gap", name: "Gap"}]
		.map((c, i) => ({...c, ns: sums[i]})).filter((c) => c.ns > 0);

	byId("share").replaceChildren(...parts.map((c) => {
		const piece = make("span", {class: `piece bg-${c.key}`, title: c.name});

		piece.style.width = `${100 * c.ns / all}%`;
		return piece;
	}));
	byId("share").setAttribute("aria-label", parts.map((c) =>
		`${c.name} ${formatPercent(c.ns, all)}`).join(", ") || "Nothing");
	byId("legend").replaceChildren(...parts.map((c) => make("li", {},
		make("span", {class: `swatch bg-${c.key}`}), `${c.name} `,
		make("span", {class: "muted", text: formatPercent(c.ns, all)}))));
}

function showScale(model) {
	byId("flame-scale").replaceChildren(...(model.data.edges === "none" ? [] : [
		make("span", {text: "Waiting"}), make("span", {class: "ramp"}),
		make("span", {text: "On CPU"})]));
}

/* --- the bar --- */

/* "12.5", "12.5 s", "3%" of what the report shows; NaN otherwise. In ns since its begin. */
function parseOffset(data, text) {
	const match = /^\s*(\d*[.,]?\d+|\d+[.,])\s*(s|%)?\s*$/.exec(text);

	if (!match)
		return NaN;
	const value = Number(match[1].replace(",", "."));

	return match[2] === "%" ? value / 100 * data.span_ns : value * 1e9 - data.offset_ns;
}

function showInterval(model) {
	const [from, to] = model.interval();

	byId("from").value = formatSeconds(model.data, from);
	byId("to").value = formatSeconds(model.data, to);
	byId("from").setCustomValidity("");
	byId("to").setCustomValidity("");
	byId("reset").disabled = model.isWhole();
}

function takeInterval(model, timeline) {
	const {data} = model, ends = ["from", "to"].map((id) => {
		const ns = parseOffset(data, byId(id).value);

		byId(id).setCustomValidity(Number.isNaN(ns) ? "Seconds since the begin, as in 12.5, or 50%" : "");
		return ns;
	});

	if (!byId("interval").reportValidity())
		return;
	ends.sort((a, b) => a - b);
	/* A rounded end of a slice is that end. */
	model.select(Math.round(ends[0] / data.slice_ns), Math.round(ends[1] / data.slice_ns));
	showInterval(model);
	timeline.reveal();
}

function listenToBar(model, timeline) {
	const hasEdges = model.data.edges !== "none" ? "" : "This trace does not know when threads ran";

	makeSegments(byId("mode"), [["both", "All"], ["cpu", "On CPU", hasEdges],
				    ["wait", "Waiting", hasEdges]], model.mode,
		     (mode) => model.set("mode", mode));
	makeSegments(byId("group"), [["function", "Functions"], ["line", "Lines"]], model.groupBy,
		     (by) => model.set("groupBy", by));
	byId("idle").addEventListener("change", (event) => model.set("withIdle", event.target.checked));
	byId("search").addEventListener("input", (event) => model.set("search", event.target.value.trim()));
	byId("reset").addEventListener("click", () => model.select(0, model.data.slices));
	byId("interval").addEventListener("submit", (event) => {
		event.preventDefault();
		takeInterval(model, timeline);
	});
	byId("interval").addEventListener("change", () => takeInterval(model, timeline));
}

function listenToKeys(model) {
	const help = byId("help");

	byId("help-open").addEventListener("click", () => help.showModal());
	byId("help-close").addEventListener("click", () => help.close());
	help.addEventListener("click", (event) => event.target === help && help.close());
	document.addEventListener("keydown", (event) => {
		const isTyping = event.target.matches("input:not([type=radio], [type=checkbox]), select");

		if (event.target === byId("search") && event.key === "Escape") {
			event.target.value = "";
			model.set("search", "");
			event.target.blur();
		}
		if (isTyping || event.ctrlKey || event.altKey || event.metaKey ||
		    document.querySelector("dialog[open]"))
			return;
		if (event.key === "/")
			byId("search").focus({preventScroll: true});
		else if (event.key === "0")
			model.select(0, model.data.slices);
		else if (event.key === "?")
			help.showModal();
		else
			return;
		event.preventDefault();
	});
	/* No tip hangs over what is scrolled away. */
	document.addEventListener("scroll", hideTip, {capture: true, passive: true});
}

/* --- all of it --- */

/* What stands on paper is what is seen, in light colours and as wide as the paper. */
function listenToPrinting(redraw) {
	const before = {};

	addEventListener("beforeprint", () => {
		before.theme = document.documentElement.dataset.theme;
		document.documentElement.dataset.theme = "light";
		document.documentElement.dataset.printing = "";
		redraw();
	});
	addEventListener("afterprint", () => {
		delete document.documentElement.dataset.printing;
		if (before.theme)
			document.documentElement.dataset.theme = before.theme;
		else
			delete document.documentElement.dataset.theme;
		redraw();
	});
}

function start(data) {
	const model = new Model(data);
	const source = new SourceView(model), showSource = (place) => source.show(place);
	const timeline = new Timeline(model), flame = new Flame(model, showSource);
	const lines = new LinesView(model, showSource), waits = new WaitsView(model, showSource);
	const tree = new TreeView(model, showSource);
	const redraw = () => {
		timeline.drawNow();
		flame.drawNow();
	};
	const refresh = () => {
		for (const view of [flame, lines, waits, tree, source])
			view.refresh();
		timeline.draw();
		showSummary(model);
		showInterval(model);
	};

	document.documentElement.dataset.edges = data.edges;
	showHead(data);
	byId("notices").replaceChildren(...notices(data).map((text) =>
		make("p", {class: "notice", text: showHidden(text)})));
	showScale(model);
	listenToTheme(redraw);
	listenToBar(model, timeline);
	listenToKeys(model);
	listenToPrinting(redraw);
	model.onChange(refresh);
	refresh();
	redraw();
	document.documentElement.dataset.ready = "";
	return model;
}

/* For whoever looks into the page with the tools of the browser. */
let shownModel = null;
const readModel = () => shownModel;

readData().then((data) => {
	shownModel = start(data);
}).catch((error) => {
	byId("title").textContent = "This report can't be shown";
	byId("notices").replaceChildren(make("p", {class: "notice", text: typeof DecompressionStream === "undefined" ?
		"This browser is too old for it: take one of 2023 or later." :
		`The file may be incomplete (${error.message}).`}));
	console.error(error);
});
