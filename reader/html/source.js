/* A file as it was when it was recorded, with how hot each line was beside it. */

/* The browser lays out only the parts of a long file that are seen. */
const LINES_PER_PART = 100;

const PYTHON = new RegExp([
	/(?<comment>#.*$)/,
	/(?<string>[rbuf]{0,2}("""|'''|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?))/,
	/(?<keyword>\b(?:False|None|True|and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield)\b)/,
	/(?<number>\b\d[\w.]*)/,
	/(?<word>[A-Za-z_]\w*)/,
].map((r) => r.source).join("|"), "gi");

/* Elements for a line's words. Strings over several lines are not looked for. */
function colourLine(text) {
	const parts = [];
	let at = 0;

	for (const match of text.matchAll(PYTHON)) {
		const kind = ["comment", "string", "keyword", "number"].find((k) => match.groups[k]);

		if (!kind)
			continue;
		parts.push(showHidden(text.slice(at, match.index)),
			   make("span", {class: `py-${kind}`, text: showHidden(match[0])}));
		at = match.index + match[0].length;
	}
	parts.push(showHidden(text.slice(at)));
	return parts;
}

class SourceView {
	constructor(model) {
		this.model = model;
		this.dialog = byId("source");
		this.text = byId("source-text");
		this.select = byId("source-file");
		this.file = 0;
		this.line = 0;
		byId("source-close").addEventListener("click", () => this.dialog.close());
		this.select.addEventListener("change", () => this.showFile(Number(this.select.value), 0));
		this.dialog.addEventListener("click", (event) => {
			/* Beside it. */
			if (event.target === this.dialog)
				this.dialog.close();
		});
	}

	show(place) {
		const file = this.model.data.placeFile[place];

		if (!file)
			return;
		hideTip();
		if (!this.dialog.open)
			this.dialog.showModal();
		this.showFile(file, this.model.data.placeLine[place]);
	}

	/* Of the file's lines: {self, cpu, visits, waits} by number. */
	sums() {
		const {model} = this, {data} = model, sums = new Map();
		const at = (line) => {
			if (!sums.has(line))
				sums.set(line, {self: 0, cpu: 0, visits: 0});
			return sums.get(line);
		};

		for (let i = 1; i < data.nNodes; i++) {
			if (data.placeFile[data.nodePlace[i]] !== this.file)
				continue;
			if (!(model.self[i] > 0) && !(model.visits[i] > 0))
				continue;
			const line = at(data.placeLine[data.nodePlace[i]]);

			line.self += model.self[i];
			line.cpu += model.selfCpu[i];
			line.visits += model.visits[i];
		}
		return sums;
	}

	/* The files that took time, those that took most first. */
	fillSelect() {
		const {model} = this;
		const times = new Float64Array(model.data.files.length + 1);

		for (let i = 1; i < model.data.nNodes; i++)
			times[model.data.placeFile[model.data.nodePlace[i]]] += model.self[i];
		const files = [...model.data.files.keys()].map((i) => i + 1)
			.sort((a, b) => times[b] - times[a] || a - b);

		this.select.replaceChildren(...files.map((file) => make("option", {value: file,
			text: `${model.data.files[file - 1].path || "?"} — ${formatDuration(times[file])}`})));
		this.select.value = String(this.file);
	}

	showFile(file, line) {
		const {model} = this, about = model.data.files[file - 1];
		const lines = model.sourceLines(about);

		this.file = file;
		this.line = line;
		this.fillSelect();
		byId("source-title").textContent = baseName(about.path || "?");
		byId("source-hint").textContent = `${about.path || "?"}${about.state === "changed" ?
			" — it was changed while it was recorded: lines may not fit" : ""}`;
		if (!lines) {
			this.text.replaceChildren(make("p", {class: "empty", text: about.state === "missing" ?
				"The trace has no text of this file: it could not be read when it was recorded." :
				"The text of this file was left out to keep the report small. " +
				"trackexec replay shows it."}));
			return;
		}
		this.draw(lines);
	}

	draw(lines) {
		const sums = this.sums(), parts = [];
		const most = [...sums.values()].reduce((m, s) => Math.max(m, s.self), 0);
		let part = null, wanted = null;

		lines.forEach((text, i) => {
			if (i % LINES_PER_PART === 0) {
				part = make("div", {class: "source-part"});
				part.style.containIntrinsicSize =
					`auto ${20 * Math.min(LINES_PER_PART, lines.length - i)}px`;
				parts.push(part);
			}
			const row = this.row(i + 1, text, sums.get(i + 1), most);

			if (i + 1 === this.line)
				wanted = row;
			part.append(row);
		});
		this.text.replaceChildren(...parts);
		if (!wanted) {
			this.text.scrollTop = 0;
			return;
		}
		wanted.classList.add("is-wanted");
		wanted.scrollIntoView({block: "center"});
	}

	row(number, text, sum, most) {
		const heat = make("span", {class: "heat"});
		const row = make("div", {class: "source-row"},
				 make("span", {class: "number", text: number}), heat,
				 make("code", {}, ...colourLine(text)));

		if (!sum)
			return row;
		heat.textContent = sum.self > 0 ? formatDuration(sum.self) : "·";
		heat.title = `${formatDuration(sum.self)}, seen ${formatCount(sum.visits)} times` +
			(this.model.data.edges === "none" ? "" :
				`, on CPU ${formatDuration(sum.cpu)}, waiting ${formatDuration(sum.self - sum.cpu)}`);
		/* As the eye sees it: a tenth of the time is not a tenth of the colour. */
		heat.style.setProperty("--heat", most > 0 ? Math.sqrt(sum.self / most).toFixed(3) : "0");
		heat.classList.add("is-hot");
		return row;
	}

	refresh() {
		if (this.dialog.open)
			this.showFile(this.file, this.line);
	}
}
