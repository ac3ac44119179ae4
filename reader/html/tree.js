/* The call tree as a tree of elements, made where it is opened: the flame graph as text. */

/* Of one caller; the rest comes on demand. */
const FIRST_CHILDREN = 30;

class TreeView {
	constructor(model, showSource) {
		this.model = model;
		this.showSource = showSource;
		this.box = byId("tree-box");
		this.open = new Set([""]); /* paths, so that they outlive other sums */
		this.current = "";
		this.box.addEventListener("click", (event) => this.onClick(event));
		this.box.addEventListener("dblclick", (event) => this.onDouble(event));
		this.box.addEventListener("keydown", (event) => this.onKey(event));
		byId("tree-hot").addEventListener("click", () => this.openHottest());
	}

	refresh() {
		const root = this.model.tree().root;

		this.items = new Map();
		this.all = root.total;
		if (!(root.total > 0)) {
			this.box.replaceChildren(make("p", {class: "empty",
				text: "No such time in the selected interval."}));
			return;
		}
		this.box.replaceChildren(...this.rowsOf(root, ""));
		if (!this.items.has(this.current))
			this.current = "";
		this.mark(this.current);
	}

	/* Its row, and those of what is open below. */
	rowsOf(root, path) {
		const rows = [], todo = [{node: root, path}];

		while (todo.length) {
			const at = todo.pop();

			if (at.nMore) {
				rows.push(this.moreRow(at));
				continue;
			}
			rows.push(this.row(at.node, at.path));
			if (!this.open.has(at.path))
				continue;
			const limit = this.open.has(`${at.path}+`) ? Infinity : FIRST_CHILDREN;
			const {children} = at.node;

			if (children.length > limit)
				todo.push({nMore: children.length - limit, path: at.path,
					   depth: at.node.depth + 1});
			for (const child of children.slice(0, limit).reverse())
				todo.push({node: child, path: `${at.path}/${child.place}`});
		}
		return rows;
	}

	row(node, path) {
		const {model} = this, where = model.location(node.hotPlace);
		const hasChildren = node.children.length > 0;
		const name = showHidden(model.frameName(node.place));
		const isFound = model.search && model.matches(node.place);
		const row = make("div", {class: `tree-row${isFound ? " is-found" : ""}`, role: "treeitem",
			"aria-level": node.depth + 1, tabindex: "-1", "data-path": path,
			"aria-expanded": hasChildren ? String(this.open.has(path)) : null,
			"aria-label": `${name}, total ${formatPercent(node.total, this.all)}, ` +
				`${formatDuration(node.total)}, self ${formatDuration(node.self)}`},
			make("span", {class: "tree-number"},
			     make("span", {text: formatDuration(node.total)}),
			     make("span", {class: "muted", text: formatPercent(node.total, this.all)}),
			     shareBar(model, node.cpu, node.total, this.all)),
			make("span", {class: "tree-self", text: node.self > 0 ? formatDuration(node.self) : ""}));
		const label = make("span", {class: "tree-name"},
			make("span", {class: "twist", "aria-hidden": "true",
				      text: hasChildren ? (this.open.has(path) ? "▾" : "▸") : ""}),
			make("span", {class: "tree-function", text: name}),
			...(where ? [make("span", {class: "muted tree-where", title: where,
				text: showHidden(`${baseName(model.pathOf(node.hotPlace))}:` +
					`${model.data.placeLine[node.hotPlace] || "?"}`)})] : []));

		label.style.paddingInlineStart = `${Math.min(40, node.depth) * 14}px`;
		row.append(label);
		this.items.set(path, {row, node});
		return row;
	}

	moreRow({nMore, path, depth}) {
		const row = make("div", {class: "tree-row tree-rest", role: "treeitem", tabindex: "-1",
					 "aria-level": depth + 1, "data-more": path},
				 make("span", {}), make("span", {}),
				 make("span", {class: "tree-name", text: `Show ${formatCount(nMore)} more`}));

		row.lastChild.style.paddingInlineStart = `${Math.min(40, depth) * 14 + 16}px`;
		return row;
	}

	mark(path) {
		const before = this.items.get(this.current), now = this.items.get(path);

		before?.row.setAttribute("tabindex", "-1");
		this.current = path;
		now?.row.setAttribute("tabindex", "0");
		return now;
	}

	focus(path) {
		this.mark(path)?.row.focus();
	}

	toggle(path, isOpen) {
		if (isOpen)
			this.open.add(path);
		else
			this.open.delete(path);
		this.refresh();
		this.focus(path);
	}

	openHottest() {
		let node = this.model.tree().root, path = "";

		while (node.children.length) {
			this.open.add(path);
			node = node.children[0];
			path += `/${node.place}`;
		}
		this.refresh();
		this.focus(path);
	}

	onClick(event) {
		const row = event.target.closest(".tree-row");

		if (!row)
			return;
		if (row.dataset.more !== undefined) {
			this.open.add(`${row.dataset.more}+`);
			this.refresh();
			this.focus(row.dataset.more);
			return;
		}
		/* The second click of two shows the source instead. */
		if (event.detail > 1)
			return;
		const {path} = row.dataset;

		if (this.items.get(path).node.children.length)
			this.toggle(path, !this.open.has(path));
		else
			this.focus(path);
	}

	onDouble(event) {
		const item = this.items.get(event.target.closest(".tree-row")?.dataset.path);

		if (item)
			this.showSource(item.node.hotPlace);
	}

	onKey(event) {
		const row = event.target.closest(".tree-row");
		const rows = [...this.box.children], at = rows.indexOf(row);

		if (!row || event.ctrlKey || event.altKey || event.metaKey)
			return;
		const {path} = row.dataset;
		const item = this.items.get(path);
		const moves = {ArrowDown: rows[at + 1], ArrowUp: rows[at - 1], Home: rows[0],
			       End: rows[rows.length - 1]};

		if (event.key in moves) {
			this.goTo(moves[event.key]);
		} else if (!item) {
			if (event.key !== "Enter")
				return;
			row.click();
		} else if (event.key === "ArrowRight" && item.node.children.length) {
			if (this.open.has(path))
				this.goTo(rows[at + 1]);
			else
				this.toggle(path, true);
		} else if (event.key === "ArrowLeft") {
			if (this.open.has(path) && item.node.children.length)
				this.toggle(path, false);
			else
				this.focus(path.slice(0, Math.max(0, path.lastIndexOf("/"))));
		} else if (event.key === "Enter" || event.key === " ") {
			if (item.node.children.length)
				this.toggle(path, !this.open.has(path));
		} else if (event.key === "s" || event.key === "S") {
			this.showSource(item.node.hotPlace);
		} else {
			return;
		}
		event.preventDefault();
	}

	goTo(row) {
		if (!row)
			return;
		if (row.dataset.path === undefined)
			row.focus();
		else
			this.focus(row.dataset.path);
	}
}
