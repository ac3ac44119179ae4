/* The hottest lines, functions and files; the waits by what they were for, and one by one. */

const FIRST_ROWS = 25;

/* A table that can be sorted by its columns, and shows more when asked. */
class Table {
	/*
	 * @columns  {key, name, title, value(row), cell(row), isText, hidden()}: value sorts, cell
	 * is a text or an element
	 */
	constructor(box, more, columns, sortKey) {
		Object.assign(this, {box, more, columns, sortKey, isDown: true, rows: [],
				     nShown: FIRST_ROWS});
		more.addEventListener("click", () => {
			this.nShown += 100;
			this.draw();
		});
	}

	show(rows, empty) {
		this.rows = rows;
		this.empty = empty;
		this.draw();
	}

	sort(key) {
		this.isDown = this.sortKey === key ? !this.isDown : true;
		this.sortKey = key;
		this.draw();
		this.box.querySelector(`button[data-key="${key}"]`).focus();
	}

	sorted() {
		const column = this.columns.find((c) => c.key === this.sortKey);
		const sign = this.isDown ? -1 : 1;

		return [...this.rows].sort((a, b) => {
			const x = column.value(a), y = column.value(b);

			return sign * (x < y ? -1 : x > y ? 1 : 0);
		});
	}

	head(columns) {
		return make("thead", {}, make("tr", {}, ...columns.map((c) => {
			if (!c.value)
				return make("th", {scope: "col", class: `is-text c-${c.key}`, text: c.name});
			const isSorted = c.key === this.sortKey;
			const arrow = isSorted ? (this.isDown ? "↓" : "↑") : "";

			return make("th", {scope: "col", class: `${c.isText ? "is-text" : ""} c-${c.key}`,
					   "aria-sort": isSorted ?
						(this.isDown ? "descending" : "ascending") : "none"},
				    make("button", {type: "button", "data-key": c.key, title: c.title,
						    onclick: () => this.sort(c.key)},
					 c.name, make("span", {class: "arrow", "aria-hidden": "true",
							       text: arrow})));
		})));
	}

	draw() {
		const columns = this.columns.filter((c) => !c.hidden || !c.hidden());
		const rows = this.sorted(), nHidden = rows.length - this.nShown;

		if (!rows.length) {
			this.box.replaceChildren(make("p", {class: "empty", text: this.empty}));
			this.more.hidden = true;
			return;
		}
		this.box.replaceChildren(make("table", {}, this.head(columns),
			make("tbody", {}, ...rows.slice(0, this.nShown).map((row) =>
				make("tr", {}, ...columns.map((c) =>
					make("td", {class: `${c.isText ? "is-text" : ""} c-${c.key}`},
					     c.cell(row)))))))); 
		this.more.hidden = nHidden <= 0;
		this.more.textContent = `Show more (${formatCount(Math.max(0, nHidden))})`;
	}
}

/* A bar in two colours: what it ran, and what it waited. */
function shareBar(model, cpu, all, most) {
	const bar = make("span", {class: "bar-cell", "aria-hidden": "true"});

	for (const [part, name] of [[cpu, "cpu"], [all - cpu, "wait"]]) {
		const piece = make("span", {class: `piece piece-${model.data.edges === "none" ? "cpu" : name}`});

		piece.style.width = `${most > 0 ? 100 * Math.max(0, part) / most : 0}%`;
		bar.append(piece);
	}
	return bar;
}

/* "db.py:17", which opens the source; the whole path is in its title. */
function sourceLink(model, place, showSource) {
	const path = model.pathOf(place), line = model.data.placeLine[place];

	if (!path)
		return make("span", {class: "muted", text: model.functionName(place)});
	return make("button", {type: "button", class: "link", title: model.location(place),
			       onclick: () => showSource(place)},
		    make("bdi", {text: `${shortPath(path, 2)}:${line || "?"}`}));
}

class LinesView {
	constructor(model, showSource) {
		this.model = model;
		this.by = "line";
		const hasEdges = model.data.edges !== "none";
		const isOf = (...names) => () => !names.includes(this.by);

		this.table = new Table(byId("lines-box"), byId("lines-more"), [
			{key: "self", name: "Self", title: "Time in which it was the innermost",
			 value: (r) => r.self, cell: (r) => formatDuration(r.self)},
			{key: "share", name: "Share", title: "Of the time observed",
			 value: (r) => r.self, cell: (r) => make("span", {class: "with-bar"},
				make("span", {text: formatPercent(r.self, this.observed)}),
				shareBar(model, r.cpu, r.self, this.most))},
			{key: "cpu", name: "On CPU", value: (r) => r.cpu, hidden: () => !hasEdges,
			 cell: (r) => formatDuration(r.cpu)},
			{key: "wait", name: "Waiting", value: (r) => r.self - r.cpu, hidden: () => !hasEdges,
			 cell: (r) => formatDuration(r.self - r.cpu)},
			{key: "total", name: "Total", title: "With all that was called from there",
			 value: (r) => r.total, cell: (r) => formatDuration(r.total)},
			{key: "visits", name: "Seen", title: "How often it was entered, or returned to",
			 value: (r) => r.visits, cell: (r) => formatCount(r.visits)},
			{key: "average", name: "Average", title: "Self time each time it was seen",
			 value: (r) => this.average(r), hidden: isOf("line"),
			 cell: (r) => r.visits ? formatDuration(this.average(r)) : "–"},
			{key: "function", name: "Function", isText: true, hidden: isOf("line", "function"),
			 value: (r) => model.functionName(r.place),
			 cell: (r) => showHidden(model.functionName(r.place))},
			{key: "location", name: "Location", isText: true,
			 value: (r) => model.location(r.place),
			 cell: (r) => sourceLink(model, r.place, showSource)},
			{key: "source", name: "Source", isText: true, hidden: isOf("line"),
			 cell: (r) => make("code", {text: showHidden(model.sourceLine(r.place))})},
		], "self");
		this.segments();
	}

	average(row) {
		return row.visits ? row.self / row.visits : 0;
	}

	segments() {
		makeSegments(byId("lines-by"), [["line", "Lines"], ["function", "Functions"],
						["file", "Files"]], this.by, (by) => {
			this.by = by;
			byId("lines-title").textContent =
				`Hottest ${{line: "lines", function: "functions", file: "files"}[by]}`;
			this.refresh();
		});
	}

	keyOf() {
		const {data, groupOf} = this.model;

		if (this.by === "function")
			return (place) => groupOf.function[place];
		if (this.by === "file")
			return (place) => data.placeFile[place] || -1 - place;
		/* The same line can be in several functions that were put on it, one after the other. */
		return (place) => data.placeFile[place] ?
			data.placeFile[place] * 4294967296 + data.placeLine[place] : -1 - place;
	}

	refresh() {
		const {model} = this, wanted = model.search.toLowerCase();
		const all = model.sumPlaces(this.keyOf()).filter((r) => r.self > 0 || r.total > 0);
		const rows = wanted ? all.filter((r) => model.matches(r.place) ||
			model.sourceLine(r.place).toLowerCase().includes(wanted)) : all;

		this.observed = model.observed;
		this.most = all.reduce((most, r) => Math.max(most, r.self), 0);
		byId("lines-hint").textContent = wanted ?
			`${formatCount(rows.length)} of ${formatCount(all.length)} match the search` :
			formatCount(all.length);
		this.table.show(rows, wanted ? "Nothing here matches the search." :
			"No time of followed code in the selected interval.");
	}
}

class WaitsView {
	constructor(model, showSource) {
		this.model = model;
		this.by = "reason";
		const shared = [
			{key: "reason", name: "Waited for", isText: true, value: (r) => this.reason(r),
			 cell: (r) => make("span", {}, this.swatch(r), showHidden(this.reason(r)))},
			{key: "location", name: "Location", isText: true,
			 value: (r) => model.location(r.place),
			 cell: (r) => sourceLink(model, r.place, showSource)},
			{key: "source", name: "Source", isText: true,
			 cell: (r) => make("code", {text: showHidden(model.sourceLine(r.place))})},
		];

		this.tables = {
			reason: new Table(byId("waits-box"), byId("waits-more"), [
				{key: "time", name: "Total", value: (r) => r.time,
				 cell: (r) => formatDuration(r.time)},
				{key: "share", name: "Share", title: "Of the time waited",
				 value: (r) => r.time, cell: (r) => make("span", {class: "with-bar"},
					make("span", {text: formatPercent(r.time, this.all)}),
					shareBar(model, 0, r.time, this.most))},
				...shared], "time"),
			single: new Table(byId("waits-box"), byId("waits-more"), [
				{key: "time", name: "Waited", value: (r) => r.time,
				 cell: (r) => formatDuration(r.time)},
				{key: "start", name: "Began", value: (r) => -r.start,
				 cell: (r) => make("button", {type: "button", class: "link",
					title: "Select this time", onclick: () => this.select(r)},
					formatClock(model.data, r.start))},
				{key: "thread", name: "Thread", isText: true, value: (r) => model.threadName(r.thread),
				 cell: (r) => model.threadName(r.thread).replace("Thread ", "")},
				...shared], "time"),
		};
		makeSegments(byId("waits-by"), [["reason", "By line and reason"], ["single", "One by one"]],
			     this.by, (by) => {
			this.by = by;
			this.refresh();
		});
	}

	reason(row) {
		const state = this.model.data.states[row.state];

		if (state.class === CLASS.READY)
			return "a CPU";
		return (state.idle ? "idle: " : "") + (state.any ? `${state.kind}: other reasons` : state.text);
	}

	swatch(row) {
		const key = CATEGORIES[this.model.categories[row.state]].key;

		return make("span", {class: `swatch bg-${key}`, title: CATEGORIES[CATEGORY[key]].name});
	}

	select(row) {
		const slice = this.model.data.slice_ns;

		this.model.select(Math.floor(row.start / slice),
				  Math.ceil((row.start + row.time) / slice));
		byId("timeline").scrollIntoView();
	}

	byReason() {
		const {model} = this, {data} = model, sums = new Map();

		for (const w of model.waitSums.values()) {
			if (model.categories[w.state] < CATEGORY.ready)
				continue;
			/* Functions that share a line are told of as one. */
			const key = `${data.placeFile[w.place]}:${data.placeLine[w.place]}:${w.state}`;
			const known = sums.get(key);

			if (known)
				known.time += w.time;
			else
				sums.set(key, {...w});
		}
		return [...sums.values()];
	}

	single() {
		const {model} = this, [from, to] = model.interval();

		return model.data.waits.filter((w) => w.start < to && w.start + w.length > from &&
			model.threads.has(w.thread) && model.mode !== "cpu" &&
			(model.withIdle || model.categories[w.state] !== CATEGORY.idle))
			.map((w) => ({start: w.start, time: w.length, thread: w.thread, state: w.state,
				      place: model.data.nodePlace[w.node]}));
	}

	hint() {
		const {data} = this.model;

		if (data.edges === "none")
			return "";
		if (this.by === "single")
			return data.waits_dropped_ns ?
				`All of more than ${formatDuration(data.waits_dropped_ns)}, and some shorter ones` :
				"Those of a millisecond or more";
		return `${formatDuration(this.all)} in all`;
	}

	refresh() {
		const {model} = this, wanted = model.search.toLowerCase();
		const all = this.by === "reason" ? this.byReason() : this.single();
		const rows = wanted ? all.filter((r) => model.matches(r.place) ||
			this.reason(r).toLowerCase().includes(wanted) ||
			model.sourceLine(r.place).toLowerCase().includes(wanted)) : all;

		this.all = all.reduce((sum, r) => sum + r.time, 0);
		this.most = all.reduce((most, r) => Math.max(most, r.time), 0);
		byId("waits-hint").textContent = this.hint();
		this.tables[this.by].show(rows, model.data.edges === "none" ?
			"Not known: this trace does not say when threads were on a CPU, so no waits are known." :
			wanted ? "No wait matches the search." : "No waits in the selected interval.");
	}
}
