/* What is selected, and the sums over it. Views ask the model; it tells them when it has changed. */

/* Which time counts. */
const MODES = {
	both: () => true,
	cpu: (c) => c === CATEGORY.cpu || c === CATEGORY.unknown,
	wait: (c) => c >= CATEGORY.ready,
};

class Model {
	constructor(data) {
		this.data = data;
		this.from = 0; /* slices */
		this.to = data.slices;
		this.threads = new Set(data.threads.keys());
		this.mode = "both";
		this.withIdle = true;
		this.groupBy = "function";
		this.search = "";
		this.listeners = [];
		this.categories = data.states.map(categoryOf);
		this.sumRows();
		this.nameGroups();
		this.sum();
	}

	onChange(listener) {
		this.listeners.push(listener);
	}

	/* @what  "selection": other sums; "search": other words */
	changed(what) {
		if (what === "selection")
			this.sum();
		for (const listener of this.listeners)
			listener(what);
	}

	/* --- what is selected --- */

	select(from, to) {
		const n = this.data.slices;
		const first = Math.max(0, Math.min(n - 1, from));

		to = Math.max(first + 1, Math.min(n, to));
		if (first === this.from && to === this.to)
			return;
		this.from = first;
		this.to = to;
		this.changed("selection");
	}

	isWhole() {
		return this.from === 0 && this.to === this.data.slices;
	}

	/* In ns since the report's begin. */
	interval() {
		const {slice_ns: slice, span_ns: span} = this.data;

		return [this.from * slice, Math.min(span, this.to * slice)];
	}

	set(name, value) {
		if (this[name] === value)
			return;
		this[name] = value;
		this.changed(name === "search" ? "search" : "selection");
	}

	toggleThread(thread, isOn) {
		if (isOn)
			this.threads.add(thread);
		else
			this.threads.delete(thread);
		this.changed("selection");
	}

	/* --- sums that the selection does not change --- */

	/* Per row, by category and of gaps; and per thread. */
	sumRows() {
		const d = this.data, width = GAP + 1;

		this.rowSums = new Float64Array(d.nRows * width);
		this.threadSums = d.threads.map(() => new Float64Array(width));
		for (let row = 0; row < d.nRows; row++) {
			const sums = this.threadSums[d.rowThread[row]];

			for (let k = d.rowCells[row]; k < d.rowCells[row + 1]; k++) {
				const state = d.cellState[k];

				if (d.states[state].class === CLASS.VISITS)
					continue;
				this.rowSums[row * width + this.categories[state]] += d.cellValue[k];
				sums[this.categories[state]] += d.cellValue[k];
			}
			this.rowSums[row * width + GAP] = d.rowGap[row];
			sums[GAP] += d.rowGap[row];
		}
	}

	/* Frames of one function, and those of one line, have one group each. */
	nameGroups() {
		const d = this.data, known = new Map();

		this.groupOf = {line: Uint32Array.from({length: d.nPlaces}, (_, i) => i),
				function: new Uint32Array(d.nPlaces)};
		for (let place = 0; place < d.nPlaces; place++) {
			const id = d.placeFunction[place];
			const key = place > PLACE_OTHER && id ? `f${id}` : `p${place}`;

			if (!known.has(key))
				known.set(key, place);
			this.groupOf.function[place] = known.get(key);
		}
	}

	/* The first row of a thread at or after a slice. */
	findRow(thread, slice) {
		const {threadRows, rowSlice} = this.data;
		let low = threadRows[thread], high = threadRows[thread + 1];

		while (low < high) {
			const middle = (low + high) >> 1;

			if (rowSlice[middle] < slice)
				low = middle + 1;
			else
				high = middle;
		}
		return low;
	}

	/* --- sums over what is selected --- */

	sum() {
		const d = this.data, width = GAP + 1;
		const counts = this.categories.map((c, i) => d.states[i].class !== CLASS.VISITS &&
			MODES[this.mode](c) && (this.withIdle || c !== CATEGORY.idle));

		this.sums = new Float64Array(width);
		/* Per node: time that counts, the part of it on a CPU, and visits. */
		this.self = new Float64Array(d.nNodes);
		this.selfCpu = new Float64Array(d.nNodes);
		this.visits = new Float64Array(d.nNodes);
		this.waitSums = new Map();
		for (const thread of this.threads) {
			const last = this.findRow(thread, this.to);

			for (let row = this.findRow(thread, this.from); row < last; row++) {
				this.addRow(row, counts);
				for (let i = 0; i < width; i++)
					this.sums[i] += this.rowSums[row * width + i];
			}
		}
		this.observed = this.sums.subarray(0, GAP).reduce((a, b) => a + b, 0);
		this.sumTotals();
		this.lines = this.groups = null;
	}

	addRow(row, counts) {
		const d = this.data, {self, selfCpu, categories, waitSums} = this;

		for (let k = d.rowCells[row]; k < d.rowCells[row + 1]; k++) {
			const state = d.cellState[k], node = d.cellNode[k], value = d.cellValue[k];

			if (state === 0) {
				this.visits[node] += value;
				continue;
			}
			if (!counts[state])
				continue;
			self[node] += value;
			if (categories[state] < CATEGORY.ready)
				selfCpu[node] += value;
			else if (categories[state] !== CATEGORY.ready || this.mode !== "cpu")
				this.addWait(waitSums, d.nodePlace[node], state, node, value);
		}
	}

	addWait(sums, place, state, node, value) {
		const key = place * 65536 + state;
		const known = sums.get(key);

		if (known)
			known.time += value;
		else
			sums.set(key, {place, state, node, time: value});
	}

	sumTotals() {
		const {nNodes, nodeParent} = this.data;

		this.total = this.self.slice();
		this.totalCpu = this.selfCpu.slice();
		for (let i = nNodes - 1; i > 0; i--) {
			this.total[nodeParent[i]] += this.total[i];
			this.totalCpu[nodeParent[i]] += this.totalCpu[i];
		}
	}

	/* The tree with the frames of one group put together: what flame graph and call tree show. */
	tree() {
		if (this.groups && this.groups.by === this.groupBy)
			return this.groups;
		const d = this.data, groupOf = this.groupOf[this.groupBy], known = new Map();
		const of = new Uint32Array(d.nNodes);
		const nodes = [this.newGroup(0, PLACE_NOWHERE, null)];

		nodes[0].total = this.total[0];
		nodes[0].cpu = this.totalCpu[0];
		nodes[0].self = this.self[0];
		for (let i = 1; i < d.nNodes; i++) {
			if (!(this.total[i] > 0))
				continue;
			const parent = of[d.nodeParent[i]], group = groupOf[d.nodePlace[i]];
			const key = parent * d.nPlaces + group;
			let at = known.get(key);

			if (at === undefined) {
				at = nodes.length;
				known.set(key, at);
				nodes.push(this.newGroup(at, group, nodes[parent]));
				nodes[parent].children.push(nodes[at]);
			}
			of[i] = at;
			nodes[at].total += this.total[i];
			nodes[at].cpu += this.totalCpu[i];
			nodes[at].self += this.self[i];
			nodes[at].visits += this.visits[i];
			/* The source that is shown for it: where most of its time is. */
			if (this.total[i] > nodes[at].hottest) {
				nodes[at].hottest = this.total[i];
				nodes[at].hotPlace = d.nodePlace[i];
			}
		}
		for (const node of nodes)
			node.children.sort((a, b) => b.total - a.total || a.place - b.place);
		this.groups = {by: this.groupBy, root: nodes[0], nodes, of};
		return this.groups;
	}

	newGroup(id, place, parent) {
		return {id, place, parent, hotPlace: place, hottest: 0, total: 0, cpu: 0, self: 0,
			visits: 0, children: [], depth: parent ? parent.depth + 1 : 0};
	}

	/*
	 * Places of one key put together: its time, that on a CPU, visits, and the total, in which
	 * each stack counts once though the key is in it more than once.
	 */
	sumPlaces(keyOf) {
		const d = this.data, sums = new Map();
		/* Of each node the nearest one above it, or itself, with the same key. */
		const entryOf = (node) => {
			const key = keyOf(d.nodePlace[node]);
			let entry = sums.get(key);

			if (!entry) {
				entry = {key, place: d.nodePlace[node], self: 0, cpu: 0, visits: 0,
					 total: 0, stamp: -1, hottest: -1};
				sums.set(key, entry);
			}
			return entry;
		};

		for (let i = 1; i < d.nNodes; i++) {
			if (!(this.total[i] > 0) && !(this.visits[i] > 0))
				continue;
			const entry = entryOf(i);

			entry.self += this.self[i];
			entry.cpu += this.selfCpu[i];
			entry.visits += this.visits[i];
			if (this.self[i] > entry.hottest) {
				entry.hottest = this.self[i];
				entry.place = d.nodePlace[i];
			}
			if (!(this.self[i] > 0))
				continue;
			for (let above = i; above > 0; above = d.nodeParent[above]) {
				const caller = entryOf(above);

				if (caller.stamp === i)
					continue;
				caller.stamp = i;
				caller.total += this.self[i];
			}
		}
		return [...sums.values()];
	}

	/* --- names --- */

	fileOf(place) {
		const d = this.data, file = d.placeFile[place];

		return file ? d.files[file - 1] : null;
	}

	functionName(place) {
		const id = this.data.placeFunction[place];

		if (place === PLACE_NOWHERE)
			return "All";
		if (place === PLACE_OTHER)
			return "(other)";
		return id ? this.data.functions[id - 1].name || "?" : "?";
	}

	pathOf(place) {
		const file = this.fileOf(place);

		return file ? file.path || "?" : "";
	}

	location(place) {
		const path = this.pathOf(place);

		return path ? `${path}:${this.data.placeLine[place] || "?"}` : "";
	}

	/* A frame as the flame graph and the tree name it. */
	frameName(place) {
		const name = this.functionName(place);

		if (this.groupBy === "function" || place <= PLACE_OTHER)
			return name;
		return `${name}:${this.data.placeLine[place] || "?"}`;
	}

	sourceLines(file) {
		if (!file || file.source === null)
			return null;
		if (!file.lines)
			file.lines = file.source.split(/\r?\n/);
		return file.lines;
	}

	sourceLine(place) {
		const lines = this.sourceLines(this.fileOf(place));
		const line = this.data.placeLine[place];

		return lines && line > 0 && line <= lines.length ? lines[line - 1].trim() : "";
	}

	threadName(thread) {
		const t = this.data.threads[thread];

		return t.native ? `Thread ${t.native}` : `Thread #${t.id}`;
	}

	matches(place) {
		const wanted = this.search.toLowerCase();

		return Boolean(wanted) && (this.functionName(place).toLowerCase().includes(wanted) ||
			this.location(place).toLowerCase().includes(wanted));
	}
}
