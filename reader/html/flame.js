/* Stacks as boxes: as wide as they took time, callers above what they called. */

const FRAME = 20, MAX_FLAME_HEIGHT = 12000;

class Flame {
	constructor(model, showSource) {
		this.model = model;
		this.showSource = showSource;
		this.canvas = byId("flames");
		this.zoomed = null; /* path of groups, so that it outlives other sums */
		this.focus = null;
		this.draw = oncePerFrame(() => this.drawNow());
		this.listen();
		new ResizeObserver(() => this.draw()).observe(this.canvas.parentElement);
	}

	/* --- where frames are --- */

	pathOf(node) {
		const path = [];

		for (; node.parent; node = node.parent)
			path.unshift(node.place);
		return path;
	}

	find(path) {
		let node = this.model.tree().root;

		for (const place of path || []) {
			const child = node.children.find((c) => c.place === place);

			if (!child)
				return node;
			node = child;
		}
		return node;
	}

	/* All that is at least a third of a pixel wide; callers first. */
	layOut(width) {
		const root = this.find(this.zoomed), frames = [], above = [];

		for (let node = root.parent; node; node = node.parent)
			above.unshift(node);
		above.forEach((node, row) => frames.push({node, x: 0, width, row, isAbove: true}));
		if (!(root.total > 0))
			return frames;
		const perNs = width / root.total;
		const todo = [{node: root, x: 0, width, row: above.length, isAbove: false}];

		while (todo.length) {
			const frame = todo.pop();
			let x = frame.x;

			frames.push(frame);
			for (const child of frame.node.children) {
				const wide = child.total * perNs;

				if (wide >= 0.3)
					todo.push({node: child, x, width: wide, row: frame.row + 1,
						   isAbove: false});
				x += wide;
			}
		}
		return frames;
	}

	/* --- drawing --- */

	/* From waiting to running, in steps that the colour-blind can tell apart, too. */
	colourOf(node, palette) {
		if (node.place === PLACE_OTHER || node.place === PLACE_NOWHERE)
			return palette.none;
		const part = node.total > 0 ? node.cpu / node.total : 1;
		const jitter = (node.place * 2654435761 >>> 24) / 255 - 0.5;
		const mix = palette.wait.map((w, i) => w + (palette.cpu[i] - w) * part);

		return `hsl(${mix[0]} ${mix[1]}% ${mix[2] + 7 * jitter}%)`;
	}

	palette() {
		const read = (name) => themeColour(name).split(" ").map(Number);

		return {cpu: read("--flame-cpu"), wait: this.blend(read("--flame-wait")),
			none: themeColour("--flame-none"), ink: themeColour("--flame-ink"),
			found: themeColour("--found"), accent: themeColour("--accent"),
			line: themeColour("--panel")};
	}

	/* Hues go the short way round: past red, not through green. */
	blend(hsl) {
		return hsl[0] > 180 ? [hsl[0] - 360, hsl[1], hsl[2]] : hsl;
	}

	drawNow() {
		const width = this.canvas.parentElement.clientWidth || 600;
		const frames = this.layOut(width);
		const nRows = frames.reduce((most, f) => Math.max(most, f.row + 1), 1);
		const height = Math.min(MAX_FLAME_HEIGHT, nRows * FRAME + 1);
		const context = sizeCanvas(this.canvas, width, height);
		const palette = this.palette();

		this.frames = frames;
		context.font = "12px system-ui, sans-serif";
		context.textBaseline = "middle";
		for (const frame of frames)
			this.drawFrame(context, frame, palette);
		this.drawFocus(context, palette);
		this.showState();
	}

	drawFrame(context, frame, palette) {
		const {node, x, width, row, isAbove} = frame, y = row * FRAME;
		const isFound = this.model.search && this.model.matches(node.place);

		context.globalAlpha = isAbove ? 0.5 : this.model.search && !isFound ? 0.35 : 1;
		context.fillStyle = isFound ? palette.found : this.colourOf(node, palette);
		context.fillRect(x, y, Math.max(0.5, width - (width > 3 ? 1 : 0)), FRAME - 1);
		context.globalAlpha = isAbove ? 0.8 : 1;
		if (width > 28)
			this.drawText(context, frame, palette.ink);
		context.globalAlpha = 1;
	}

	drawText(context, {node, x, width, row}, ink) {
		const full = showHidden(this.model.frameName(node.place));
		const room = width - 10;
		let text = full;

		if (context.measureText(text).width > room) {
			/* About so many characters fit; then one less until they do. */
			const most = Math.floor(full.length * room / context.measureText(full).width);

			for (let n = most; ; n--) {
				if (n < 2)
					return;
				text = `${full.slice(0, n - 1)}…`;
				if (context.measureText(text).width <= room)
					break;
			}
		}
		context.fillStyle = ink;
		context.fillText(text, x + 5, row * FRAME + FRAME / 2);
	}

	drawFocus(context, palette) {
		const frame = this.focus && document.activeElement === this.canvas && this.frameOf(this.focus);

		if (!frame)
			return;
		context.strokeStyle = palette.accent;
		context.lineWidth = 2;
		context.strokeRect(frame.x + 1, frame.row * FRAME + 1, Math.max(2, frame.width - 3), FRAME - 3);
	}

	frameOf(node) {
		return this.frames.find((f) => f.node === node);
	}

	showState() {
		const {model} = this, root = this.find(this.zoomed);
		const crumbs = byId("crumbs");

		byId("flame-reset").disabled = !root.parent;
		crumbs.hidden = !root.parent;
		crumbs.replaceChildren(...this.crumbsOf(root));
		byId("flame-hint").textContent = model.tree().root.total > 0 ?
			`${formatDuration(model.tree().root.total)} in all` :
			"No such time in the selected interval.";
		this.showFound();
	}

	crumbsOf(root) {
		const path = [];

		for (let node = root; node; node = node.parent)
			path.unshift(node);
		return path.flatMap((node, i) => [...(i ? [make("span", {"aria-hidden": "true", text: "›"})] : []),
			make("button", {type: "button", class: "crumb",
					text: showHidden(this.model.frameName(node.place)),
					onclick: () => this.zoomTo(node)})]);
	}

	/* The part of the time in which something that was found is on the stack. */
	showFound() {
		const {model} = this, root = model.tree().root, out = byId("search-result");
		let ns = 0, n = 0;
		const todo = model.search ? [root] : [];

		while (todo.length) {
			const node = todo.pop();

			if (node.parent && model.matches(node.place)) {
				ns += node.total;
				n++;
			} else {
				todo.push(...node.children);
			}
		}
		out.textContent = !model.search ? "" : n ? formatPercent(ns, root.total) : "no stack";
		out.title = n ? "of the time has it on the stack" : "";
	}

	describe(node) {
		const {model} = this, all = model.tree().root.total;

		return [["Total", `${formatDuration(node.total)} (${formatPercent(node.total, all)})`],
			["Self", `${formatDuration(node.self)} (${formatPercent(node.self, all)})`],
			...(model.data.edges === "none" ? [] : [
				["On CPU", formatDuration(node.cpu)],
				["Waiting", formatDuration(node.total - node.cpu)]])];
	}

	say(node) {
		const {model} = this, where = model.location(node.hotPlace);

		byId("flame-said").textContent =
			`${showHidden(model.frameName(node.place))}${where ? ` — ${where}` : ""} — ` +
			this.describe(node).map(([name, value]) => `${name.toLowerCase()} ${value}`).join(", ");
	}

	/* --- what the user does --- */

	zoomTo(node) {
		this.zoomed = this.pathOf(node);
		this.focus = node;
		this.say(node);
		this.draw();
	}

	frameAt(event) {
		const box = this.canvas.getBoundingClientRect();
		const x = event.clientX - box.left, row = Math.floor((event.clientY - box.top) / FRAME);

		return (this.frames || []).find((f) => f.row === row && x >= f.x && x < f.x + f.width);
	}

	listen() {
		const {canvas} = this;

		canvas.addEventListener("pointermove", (event) => {
			const frame = this.frameAt(event);

			canvas.classList.toggle("is-link", Boolean(frame));
			if (!frame) {
				hideTip();
				return;
			}
			const place = frame.node.hotPlace;

			showTip(event.clientX, event.clientY, showHidden(this.model.frameName(frame.node.place)),
				showHidden(this.model.location(place)), this.describe(frame.node));
		});
		canvas.addEventListener("pointerleave", hideTip);
		canvas.addEventListener("click", (event) => {
			const frame = this.frameAt(event);

			if (frame)
				this.zoomTo(frame.node);
		});
		canvas.addEventListener("dblclick", (event) => {
			const frame = this.frameAt(event);

			if (frame)
				this.showSource(frame.node.hotPlace);
		});
		canvas.addEventListener("keydown", (event) => this.onKey(event));
		canvas.addEventListener("focus", () => this.draw());
		canvas.addEventListener("blur", () => this.draw());
		byId("flame-reset").addEventListener("click", () => this.zoomTo(this.model.tree().root));
	}

	onKey(event) {
		const node = this.focus && this.frameOf(this.focus) ? this.focus : this.find(this.zoomed);
		const beside = (by) => {
			const {children} = node.parent || {children: [node]};

			return children[children.indexOf(node) + by];
		};
		const to = {
			ArrowDown: () => node.children[0], ArrowUp: () => node.parent,
			ArrowRight: () => beside(1), ArrowLeft: () => beside(-1),
			Home: () => this.model.tree().root,
		};

		if (event.ctrlKey || event.altKey || event.metaKey)
			return;
		if (event.key in to)
			this.setFocus(to[event.key]() || node);
		else if (event.key === "Enter" || event.key === " ")
			this.zoomTo(node);
		else if (event.key === "Escape")
			this.zoomTo(this.model.tree().root);
		else if (event.key === "s" || event.key === "S")
			this.showSource(node.hotPlace);
		else
			return;
		event.preventDefault();
	}

	setFocus(node) {
		this.focus = node;
		/* Above what is zoomed to, or too narrow: zoom out, or in, until it is there. */
		if (!this.frameOf(node) || this.frameOf(node).isAbove)
			this.zoomed = this.pathOf(node);
		this.say(node);
		this.draw();
		const box = this.canvas.parentElement, frame = this.frameOf(node);

		if (!frame)
			return;
		const y = frame.row * FRAME;

		if (y < box.scrollTop || y + FRAME > box.scrollTop + box.clientHeight)
			box.scrollTop = y - box.clientHeight / 2;
	}

	refresh() {
		this.focus = this.focus ? this.find(this.pathOf(this.focus)) : null;
		this.draw();
	}
}
