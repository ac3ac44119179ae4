/* What the program put into the page, unpacked: reader/html_data.h says what comes after what. */

const DATA_FORMAT = 1;
/* enum profile_class */
const CLASS = {VISITS: 0, UNKNOWN: 1, ON_CPU: 2, READY: 3, WAITING: 4};
/* Places that are none. */
const PLACE_NOWHERE = 0, PLACE_OTHER = 1;

async function unpackBytes(base64) {
	const text = atob(base64);
	const packed = new Uint8Array(text.length);

	for (let i = 0; i < text.length; i++)
		packed[i] = text.charCodeAt(i);
	const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));

	return new Uint8Array(await new Response(stream).arrayBuffer());
}

class Numbers {
	constructor(bytes) {
		this.bytes = bytes;
		this.at = 0;
	}

	next() {
		const bytes = this.bytes;
		let byte = bytes[this.at++], value = byte & 127;

		/* Multiplied, not shifted: shifts would cut it to 32 bits. */
		for (let factor = 128; byte > 127; factor *= 128) {
			byte = bytes[this.at++];
			value += (byte & 127) * factor;
		}
		return value;
	}

	signed() {
		const value = this.next();

		return value % 2 ? -(value + 1) / 2 : value / 2;
	}

	take(length) {
		const part = this.bytes.subarray(this.at, this.at + length);

		this.at += length;
		return part;
	}
}

function readPlaces(numbers, data) {
	const n = numbers.next();

	data.placeFile = new Uint32Array(n);
	data.placeFunction = new Uint32Array(n);
	data.placeLine = new Int32Array(n);
	for (let i = 0; i < n; i++) {
		data.placeFile[i] = numbers.next();
		data.placeFunction[i] = numbers.next();
		data.placeLine[i] = numbers.signed();
	}
	data.nPlaces = n;
}

function readNodes(numbers, data) {
	const n = numbers.next();

	data.nodeParent = new Uint32Array(n);
	data.nodePlace = new Uint32Array(n);
	for (let i = 1; i < n; i++) {
		data.nodeParent[i] = i - numbers.next();
		data.nodePlace[i] = numbers.next();
	}
	data.nNodes = n;
}

function readRows(numbers, data) {
	const n = numbers.next();
	let nCells = 0;

	data.rowThread = new Uint32Array(n);
	data.rowSlice = new Uint32Array(n);
	data.rowGap = new Float64Array(n);
	/* Of row i from rowCells[i] up to rowCells[i + 1]. */
	data.rowCells = new Uint32Array(n + 1);
	for (let i = 0; i < n; i++) {
		const thread = numbers.next();
		const from = i > 0 && data.rowThread[i - 1] === thread ? data.rowSlice[i - 1] + 1 : 0;

		data.rowThread[i] = thread;
		data.rowSlice[i] = from + numbers.next();
		nCells += numbers.next();
		data.rowCells[i + 1] = nCells;
		data.rowGap[i] = numbers.next();
	}
	data.nRows = n;
	data.nCells = nCells;
}

function readCells(numbers, data) {
	data.cellNode = new Uint32Array(data.nCells);
	data.cellState = new Uint16Array(data.nCells);
	data.cellValue = new Float64Array(data.nCells);
	for (let i = 0; i < data.nRows; i++) {
		let node = 0;

		for (let k = data.rowCells[i]; k < data.rowCells[i + 1]; k++) {
			node += numbers.next();
			data.cellNode[k] = node;
		}
	}
	for (let i = 0; i < data.nCells; i++)
		data.cellState[i] = numbers.next();
	for (let i = 0; i < data.nCells; i++)
		data.cellValue[i] = numbers.next();
}

function readWaits(numbers, data) {
	const n = numbers.next();
	let start = 0;

	data.waits = [];
	for (let i = 0; i < n; i++) {
		start += numbers.next();
		data.waits.push({start, length: numbers.next(), thread: numbers.next(),
				 node: numbers.next(), state: numbers.next()});
	}
}

/* threadRows[i] up to threadRows[i + 1] are the rows of thread i. */
function indexThreads(data) {
	const rows = new Uint32Array(data.threads.length + 1);
	let row = 0;

	for (let i = 0; i < data.threads.length; i++) {
		while (row < data.nRows && data.rowThread[row] === i)
			row++;
		rows[i + 1] = row;
	}
	data.threadRows = rows;
}

async function readData() {
	const element = byId("data");
	const bytes = await unpackBytes(element.textContent);
	const numbers = new Numbers(bytes);
	const data = JSON.parse(new TextDecoder().decode(numbers.take(numbers.next())));

	/* It is large, and needed no more. */
	element.remove();
	if (data.format !== DATA_FORMAT)
		throw new Error(`this report has data of format ${data.format}`);
	readPlaces(numbers, data);
	readNodes(numbers, data);
	readRows(numbers, data);
	readCells(numbers, data);
	readWaits(numbers, data);
	indexThreads(data);
	return data;
}

/* --- what a thread does, by the few things that are told apart by colour --- */

const CATEGORIES = [
	{key: "cpu", name: "On CPU"},
	{key: "unknown", name: "Running or waiting"},
	{key: "ready", name: "Waiting for a CPU"},
	{key: "net", name: "Network, pipes"},
	{key: "disk", name: "Files, disk"},
	{key: "lock", name: "Locks"},
	{key: "child", name: "Other processes"},
	{key: "sleep", name: "Sleep"},
	{key: "wait", name: "Other waits"},
	{key: "idle", name: "Idle"},
];
const GAP = CATEGORIES.length;
const CATEGORY = Object.fromEntries(CATEGORIES.map((c, i) => [c.key, i]));
const KINDS = {
	poll: "net", connect: "net", accept: "net", name: "net",
	file: "disk", "file lock": "disk", sync: "disk", fault: "disk",
	lock: "lock", child: "child", start: "child", sleep: "sleep",
};

function categoryOf(state) {
	if (state.class === CLASS.ON_CPU)
		return CATEGORY.cpu;
	if (state.class === CLASS.READY)
		return CATEGORY.ready;
	if (state.class !== CLASS.WAITING)
		return CATEGORY.unknown;
	if (state.idle)
		return CATEGORY.idle;
	if (state.kind === "read" || state.kind === "write")
		return /socket|pipe|recv|send|\d:\d+$|FIFO|terminal|\d+(\.\d+){3}/i.test(state.text) ?
			CATEGORY.net : CATEGORY.disk;
	return CATEGORY[KINDS[state.kind] || "wait"];
}
