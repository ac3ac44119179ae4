/* The whole time, a lane per thread; what is selected here is what all else shows. */

const LANE = 40, LANE_GAP = 8, AXIS = 26, OVERVIEW = 24, FIRST_LANES = 12;
/* From the bottom of a lane to its top. */
const STACKED = CATEGORIES.map((_, i) => i);

class Timeline {
	constructor(model) {
		this.model = model;
		this.canvas = byId("lanes");
		this.view = [0, model.data.span_ns];
		this.nShown = FIRST_LANES;
		/* Those that ran most first. */
		this.order = [...model.data.threads.keys()].sort((a, b) => this.ran(b) - this.ran(a) ||
								 a - b);
		this.draw = oncePerFrame(() => this.drawNow());
		this.drag = null;
		this.listen();
		this.fillThreads();
		new ResizeObserver(() => this.draw()).observe(this.canvas.parentElement);
	}

	ran(thread) {
		const sums = this.model.threadSums[thread];

		return sums[CATEGORY.cpu] + sums[CATEGORY.unknown];
	}

	shown() {
		return this.order.slice(0, this.nShown);
	}

	fillThreads() {
		const {model} = this, more = byId("threads-more");
		const nHidden = this.order.length - this.nShown;

		byId("threads").replaceChildren(...this.shown().map((thread) => {
			const box = make("input", {type: "checkbox",
				onchange: (event) => model.toggleThread(thread, event.target.checked)});
			const sums = model.threadSums[thread];
			const observed = sums.subarray(0, GAP).reduce((a, b) => a + b, 0);

			box.checked = model.threads.has(thread);
			return make("label", {class: "thread"}, box,
				    make("span", {class: "thread-name", title: model.threadName(thread)},
					 make("span", {class: "thread-word", text: "Thread "}),
					 model.threadName(thread).replace("Thread ", "")),
				    make("span", {class: "thread-sub", text: model.data.edges === "none" ?
					formatDuration(observed) :
					`${formatPercent(this.ran(thread), observed)} CPU`}));
		}));
		more.hidden = nHidden <= 0;
		more.textContent = `Show ${formatCount(Math.max(0, nHidden))} more threads`;
	}

	/* --- from time to place and back --- */

	size() {
		return [this.canvas.parentElement.clientWidth || 600,
			OVERVIEW + AXIS + this.shown().length * (LANE + LANE_GAP)];
	}

	xOf(ns, view = this.view) {
		return (ns - view[0]) / (view[1] - view[0]) * this.size()[0];
	}

	timeOf(x, view = this.view) {
		return view[0] + x / this.size()[0] * (view[1] - view[0]);
	}

	sliceOf(ns) {
		return Math.floor(ns / this.model.data.slice_ns);
	}

	laneAt(y) {
		const lane = Math.floor((y - OVERVIEW - AXIS) / (LANE + LANE_GAP));

		return lane >= 0 && lane < this.shown().length ? this.shown()[lane] : -1;
	}

	/* --- drawing --- */

	colours() {
		const colours = CATEGORIES.map((c) => themeColour(`--c-${c.key}`));

		colours.push(themeColour("--c-gap"));
		return colours;
	}

	/*
	 * What a thread did, per column of a picture that is `width` wide.
	 * Returns the sums of column x from x * (GAP + 1) on.
	 */
	columns(thread, view, width) {
		const {model} = this, {data} = model, nSums = GAP + 1;
		const columns = new Float64Array(width * nSums);
		const perColumn = (view[1] - view[0]) / width;
		const last = model.findRow(thread, this.sliceOf(view[1]) + 1);

		for (let row = model.findRow(thread, this.sliceOf(view[0])); row < last; row++) {
			const start = data.rowSlice[row] * data.slice_ns;
			const end = Math.min(data.span_ns, start + data.slice_ns);
			const from = Math.max(0, (start - view[0]) / perColumn);
			const to = Math.min(width, (end - view[0]) / perColumn);

			/* A slice's time is shared out evenly: more is not known. */
			for (let x = Math.floor(from); x < to; x++) {
				const part = (Math.min(x + 1, to) - Math.max(x, from)) * perColumn /
					(end - start);

				for (let i = 0; i < nSums; i++)
					columns[x * nSums + i] += part * model.rowSums[row * nSums + i];
			}
		}
		return columns;
	}

	drawLane(context, thread, y, width, colours) {
		const columns = this.columns(thread, this.view, width), nSums = GAP + 1;
		const perColumn = (this.view[1] - this.view[0]) / width;

		context.fillStyle = colours[GAP + 1];
		context.fillRect(0, y, width, LANE);
		for (const i of [...STACKED, GAP]) {
			context.fillStyle = colours[i];
			for (let x = 0; x < width; x++) {
				const at = x * nSums;
				let below = 0;

				if (!(columns[at + i] > 0))
					continue;
				for (let k = 0; k < i; k++)
					below += columns[at + k];
				const bottom = Math.round(LANE * Math.min(1, below / perColumn));
				const top = Math.round(LANE * Math.min(1, (below + columns[at + i]) / perColumn));

				context.fillRect(x, y + LANE - top, 1, Math.max(top - bottom, i === GAP ? 0 : 0.5));
			}
		}
	}

	drawOverview(context, width, colours) {
		const whole = [0, this.model.data.span_ns];
		const busy = new Float64Array(width);
		const height = OVERVIEW - 6;

		for (const thread of this.model.threads) {
			const columns = this.columns(thread, whole, width);

			for (let x = 0; x < width; x++) {
				busy[x] += columns[x * (GAP + 1) + CATEGORY.cpu] +
					columns[x * (GAP + 1) + CATEGORY.unknown];
			}
		}
		const most = busy.reduce((a, b) => Math.max(a, b), 0) || 1;

		context.fillStyle = themeColour("--lane");
		context.fillRect(0, 0, width, height);
		context.fillStyle = colours[CATEGORY.cpu];
		for (let x = 0; x < width; x++) {
			const h = busy[x] / most * height;

			context.fillRect(x, height - h, 1, h);
		}
		const [x0, x1] = this.view.map((ns) => this.xOf(ns, whole));

		if (x1 - x0 >= width - 1)
			return;
		context.fillStyle = themeColour("--veil");
		context.fillRect(0, 0, x0, height);
		context.fillRect(x1, 0, width - x1, height);
		context.strokeStyle = themeColour("--accent");
		context.lineWidth = 2;
		context.strokeRect(x0 + 1, 1, Math.max(2, x1 - x0 - 2), height - 2);
	}

	/* At round times, about 110 pixels from each other. */
	drawAxis(context, width, height) {
		const span = this.view[1] - this.view[0];
		const least = span / Math.max(1, width / 110);
		const power = 10 ** Math.floor(Math.log10(least));
		let step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= least);

		if (least > 5e9)
			step = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200]
				.map((s) => s * 1e9).find((n) => n >= least) || step;
		const data = this.model.data;
		/* Counted on the clock, where it is known. */
		const zero = clockAt(data, this.view[0]);
		const phase = zero === null ? 0 : (zero * 1e6) % step;

		context.font = "12px system-ui, sans-serif";
		context.textBaseline = "middle";
		const digits = Math.max(0, Math.min(9, Math.ceil(9 - Math.log10(step))));

		for (let ns = this.view[0] - phase; ns <= this.view[1]; ns += step) {
			const x = Math.round(this.xOf(ns));

			if (x < 0)
				continue;
			context.fillStyle = themeColour("--grid");
			context.fillRect(x, OVERVIEW + AXIS - 6, 1, height);
			context.fillStyle = themeColour("--muted");
			const label = this.axisLabel(ns, digits);

			if (x + context.measureText(label).width < width)
				context.fillText(label, x + 3, OVERVIEW + AXIS / 2 - 1);
		}
	}

	axisLabel(ns, digits) {
		const ms = clockAt(this.model.data, ns + 1);

		if (ms === null)
			return `${((this.model.data.offset_ns + ns) / 1e9).toFixed(digits)} s`;
		const text = new Date(ms).toISOString().slice(11, 19);

		if (digits <= 0)
			return text;
		if (digits <= 3)
			return `${text}.${new Date(ms).toISOString().slice(20, 20 + digits)}`;
		return `+${formatDuration(ns)}`;
	}

	drawSelection(context, width, height) {
		const [from, to] = this.model.interval();
		const x0 = Math.max(0, this.xOf(from)), x1 = Math.min(width, this.xOf(to));

		if (this.model.isWhole())
			return;
		context.fillStyle = themeColour("--veil");
		context.fillRect(0, OVERVIEW, Math.max(0, x0), height);
		context.fillRect(x1, OVERVIEW, Math.max(0, width - x1), height);
		context.fillStyle = themeColour("--accent");
		for (const x of [x0, x1 - 2])
			context.fillRect(Math.round(x), OVERVIEW, 2, height);
	}

	drawNow() {
		const [width, height] = this.size();
		const context = sizeCanvas(this.canvas, width, height);
		const colours = this.colours();

		colours.push(themeColour("--lane"));
		colours[GAP] = this.hatch(context) || colours[GAP];
		this.drawOverview(context, width, colours);
		this.drawAxis(context, width, height);
		this.shown().forEach((thread, i) => {
			context.globalAlpha = this.model.threads.has(thread) ? 1 : 0.35;
			this.drawLane(context, thread, OVERVIEW + AXIS + i * (LANE + LANE_GAP), width,
				      colours);
		});
		context.globalAlpha = 1;
		this.drawSelection(context, width, height);
		byId("zoom-selection").disabled = this.model.isWhole();
		this.say();
	}

	/* Gaps differ by more than colour. */
	hatch(context) {
		const tile = document.createElement("canvas");

		tile.width = tile.height = 8;
		const c = tile.getContext("2d");

		c.strokeStyle = themeColour("--c-gap");
		c.lineWidth = 1.5;
		for (const x of [-4, 4, 12]) {
			c.moveTo(x, 8);
			c.lineTo(x + 8, 0);
		}
		c.stroke();
		return context.createPattern(tile, "repeat");
	}

	say() {
		const {model} = this, {data} = model, [from, to] = model.interval();
		const text = model.isWhole() ? "All of the time is selected." :
			`Selected: from ${formatClock(data, from)} to ${formatClock(data, to)}, ` +
			`${formatDuration(to - from)}.`;

		if (byId("lanes-said").textContent !== text)
			byId("lanes-said").textContent = text;
	}

	/* --- zooming --- */

	zoom(factor, around) {
		const [from, to] = this.view, span = this.model.data.span_ns;
		const least = Math.min(span, 10 * this.model.data.slice_ns);
		const length = Math.max(least, Math.min(span, (to - from) * factor));
		const start = around - (around - from) * length / (to - from);

		this.setView(start, start + length);
	}

	setView(from, to) {
		const span = this.model.data.span_ns, length = Math.min(span, to - from);
		const start = Math.max(0, Math.min(span - length, from));

		this.view = [start, start + length];
		this.draw();
	}

	zoomToSelection() {
		const [from, to] = this.model.interval(), room = (to - from) / 20;
		const least = 10 * this.model.data.slice_ns;

		if (to - from + 2 * room < least)
			this.setView((from + to - least) / 2, (from + to + least) / 2);
		else
			this.setView(from - room, to + room);
	}

	/* What is selected is seen. */
	reveal() {
		const [from, to] = this.model.interval(), length = this.view[1] - this.view[0];

		if (from >= this.view[0] && to <= this.view[1])
			this.draw();
		else if (to - from > length)
			this.setView(from, to);
		else
			this.setView(from < this.view[0] ? from : to - length,
				     from < this.view[0] ? from + length : to);
	}

	/* --- what the user does --- */

	listen() {
		const {canvas} = this;

		canvas.addEventListener("pointerdown", (event) => this.onDown(event));
		canvas.addEventListener("pointermove", (event) => this.onMove(event));
		canvas.addEventListener("pointerup", () => this.onUp());
		canvas.addEventListener("pointercancel", () => this.onUp());
		canvas.addEventListener("pointerleave", hideTip);
		canvas.addEventListener("dblclick", () => this.zoomToSelection());
		canvas.addEventListener("wheel", (event) => this.onWheel(event), {passive: false});
		canvas.addEventListener("keydown", (event) => this.onKey(event));
		const middle = () => (this.view[0] + this.view[1]) / 2;

		byId("zoom-in").addEventListener("click", () => this.zoom(0.5, middle()));
		byId("zoom-out").addEventListener("click", () => this.zoom(2, middle()));
		byId("zoom-all").addEventListener("click", () => this.setView(0, this.model.data.span_ns));
		byId("zoom-selection").addEventListener("click", () => this.zoomToSelection());
		byId("threads-more").addEventListener("click", () => {
			this.nShown += 50;
			this.fillThreads();
			this.draw();
		});
	}

	place(event) {
		const box = this.canvas.getBoundingClientRect();

		return [event.clientX - box.left, event.clientY - box.top];
	}

	onDown(event) {
		const [x, y] = this.place(event);

		if (event.button !== 0)
			return;
		this.canvas.setPointerCapture(event.pointerId);
		hideTip();
		if (y < OVERVIEW)
			this.drag = {kind: "overview"};
		else if (event.shiftKey)
			this.drag = {kind: "pan", x, view: [...this.view]};
		else
			this.drag = {kind: "brush", x, start: this.timeOf(x), moved: false};
		if (this.drag.kind === "overview")
			this.onMove(event);
	}

	onMove(event) {
		const [x, y] = this.place(event), {drag} = this;

		if (!drag) {
			this.tip(event, x, y);
			return;
		}
		if (drag.kind === "overview") {
			const at = this.timeOf(x, [0, this.model.data.span_ns]);
			const half = (this.view[1] - this.view[0]) / 2;

			this.setView(at - half, at + half);
		} else if (drag.kind === "pan") {
			const moved = (drag.x - x) / this.size()[0] * (drag.view[1] - drag.view[0]);

			this.setView(drag.view[0] + moved, drag.view[1] + moved);
		} else if (drag.moved || Math.abs(x - drag.x) > 3) {
			const ends = [drag.start, this.timeOf(x)].sort((a, b) => a - b);

			drag.moved = true;
			drag.ends = [this.sliceOf(ends[0]), this.sliceOf(ends[1]) + 1];
			this.brush();
		}
	}

	onUp() {
		this.drag = null;
	}

	brush() {
		this.pending = this.drag.ends;
		this.brushSoon = this.brushSoon || oncePerFrame(() => this.model.select(...this.pending));
		this.brushSoon();
	}

	onWheel(event) {
		if (!event.ctrlKey && !event.metaKey)
			return;
		event.preventDefault();
		this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.timeOf(this.place(event)[0]));
	}

	onKey(event) {
		const {model} = this, {from, to} = model;
		const step = Math.max(1, this.sliceOf((this.view[1] - this.view[0]) / 50));
		const moves = {
			ArrowLeft: -step, ArrowRight: step, PageUp: -10 * step, PageDown: 10 * step,
		};

		if (event.key in moves && !event.ctrlKey && !event.altKey)
			this.moveSelection(moves[event.key], event.shiftKey);
		else if (event.key === "Home")
			model.select(0, model.isWhole() ? 10 * step : to - from);
		else if (event.key === "End")
			model.select(model.data.slices - (model.isWhole() ? 10 * step : to - from),
				     model.data.slices);
		else if (event.key === "Escape")
			model.select(0, model.data.slices);
		else if (event.key === "+" || event.key === "=" || event.key === "-")
			this.zoom(event.key === "-" ? 2 : 0.5, model.isWhole() ?
				(this.view[0] + this.view[1]) / 2 : (from + to) / 2 * model.data.slice_ns);
		else
			return;
		event.preventDefault();
		this.reveal();
	}

	moveSelection(by, isResize) {
		const {model} = this, n = model.data.slices;
		const length = model.to - model.from;

		if (model.isWhole()) {
			/* There must be something to move. */
			const first = this.sliceOf(this.view[0]);

			model.select(first, first + 10 * Math.abs(by));
		} else if (isResize) {
			model.select(model.from, Math.max(model.from + 1, model.to + by));
		} else {
			const from = Math.max(0, Math.min(n - length, model.from + by));

			model.select(from, from + length);
		}
	}

	/* --- what lies under the pointer --- */

	tip(event, x, y) {
		const {model} = this, {data} = model, thread = this.laneAt(y), nSums = GAP + 1;

		if (thread < 0 || !data.nRows) {
			hideTip();
			return;
		}
		const view = [this.timeOf(x), this.timeOf(x + 1)];
		const sums = new Float64Array(nSums), colours = this.colours();
		const first = model.findRow(thread, this.sliceOf(view[0]));
		const last = Math.max(first, model.findRow(thread, this.sliceOf(view[1]) + 1));
		let hottest = -1, most = 0;

		for (let row = first; row < last; row++) {
			for (let i = 0; i < nSums; i++)
				sums[i] += model.rowSums[row * nSums + i];
			for (let k = data.rowCells[row]; k < data.rowCells[row + 1]; k++) {
				if (data.cellState[k] && data.cellValue[k] > most) {
					most = data.cellValue[k];
					hottest = k;
				}
			}
		}
		const all = sums.reduce((a, b) => a + b, 0);
		const rows = [...sums.keys()].filter((i) => sums[i] > 0).sort((a, b) => sums[b] - sums[a])
			.map((i) => [i === GAP ? "Gap" : CATEGORIES[i].name, formatPercent(sums[i], all),
				     colours[i]]);

		if (hottest >= 0) {
			const place = data.nodePlace[data.cellNode[hottest]];
			const state = data.states[data.cellState[hottest]];

			rows.push(["Mostly in", model.functionName(place) === "All" ? "no followed code" :
				model.functionName(place)]);
			if (state.class === CLASS.WAITING)
				rows.push(["For", showHidden(state.text)]);
		}
		if (!rows.length)
			rows.push(["Nothing seen", ""]);
		showTip(event.clientX, event.clientY, formatClock(data, Math.min(view[0], data.span_ns)),
			model.threadName(thread), rows);
	}
}
