"use strict";
/* How numbers, times and elements are made. Text gets into the page through textContent alone. */

const byId = (id) => document.getElementById(id);

/* An element: properties, then children (texts or elements). */
function make(tag, properties, ...children) {
	const element = document.createElement(tag);

	for (const [name, value] of Object.entries(properties || {})) {
		if (value === null || value === undefined)
			continue;
		if (name === "class")
			element.className = value;
		else if (name === "text")
			element.textContent = value;
		else if (name.startsWith("on"))
			element.addEventListener(name.slice(2), value);
		else
			element.setAttribute(name, value);
	}
	element.append(...children);
	return element;
}

const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

/* Three significant digits: "12.3 ms", "2 min 05 s". */
function formatDuration(ns) {
	if (ns >= 60e9) {
		const s = Math.round(ns / 1e9);
		const two = (n) => String(n).padStart(2, "0");

		if (s >= 86400)
			return `${Math.floor(s / 86400)} d ${two(Math.floor(s / 3600) % 24)} h`;
		if (s >= 3600)
			return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
		return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
	}
	for (const [size, unit] of UNITS) {
		/* What would be rounded to the next unit is told in that. */
		if (ns < size * 0.9995)
			continue;
		const value = ns / size;
		const digits = unit === "ns" || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;

		return `${value.toFixed(digits)} ${unit}`;
	}
	return ns > 0 ? `${ns.toFixed(1)} ns` : "0";
}

function formatPercent(part, whole) {
	if (!(whole > 0) || !(part > 0))
		return "0 %";
	const percent = 100 * part / whole;

	return percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
}

function formatCount(n) {
	return String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/* The clock's time at an offset, in ms since 1970 in the recording machine's zone; or null. */
function clockAt(data, offsetNs) {
	let anchor = null;

	for (const a of data.anchors) {
		if (a.at <= offsetNs || !anchor)
			anchor = a;
	}
	return anchor ? anchor.ms + (offsetNs - anchor.at) / 1e6 + 1e3 * data.utc_offset_s : null;
}

/* "12:00:03.250", with the day before it when asked for. */
function formatClock(data, offsetNs, withDay) {
	const ms = clockAt(data, offsetNs);
	const date = ms === null ? null : new Date(ms);

	if (!date || Number.isNaN(date.getTime()))
		return formatOffset(data, offsetNs);
	const text = date.toISOString().replace("Z", "");

	return withDay ? text.replace("T", " ") : text.slice(11);
}

/* Seconds since the begin of the trace, as exact as the slices make sense. */
function formatSeconds(data, offsetNs) {
	const digits = Math.min(9, Math.max(0, 9 - Math.floor(Math.log10(data.slice_ns))));

	return ((data.offset_ns + offsetNs) / 1e9).toFixed(digits);
}

function formatOffset(data, offsetNs) {
	return `${formatSeconds(data, offsetNs)} s`;
}

/* Characters that could hide or reorder others are shown by their number. */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

function showHidden(text) {
	return text.replace(HIDDEN, (c) =>
		`‹${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}›`);
}

function baseName(path) {
	return path.slice(path.lastIndexOf("/") + 1) || path;
}

/* "/srv/walt/server/db.py" where there is room for the end only: "…/server/db.py" */
function shortPath(path, parts) {
	const words = path.split("/");

	return words.length > parts + 1 ? `…/${words.slice(-parts).join("/")}` : path;
}

/* A colour of the theme. */
function themeColour(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* Radio buttons that look like one control. */
function makeSegments(box, choices, chosen, onChoice) {
	const name = `${box.id}-choice`;

	box.replaceChildren(...choices.map(([value, text, disabled]) => {
		const input = make("input", {type: "radio", name, value});

		input.checked = value === chosen;
		input.disabled = Boolean(disabled);
		input.addEventListener("change", () => onChoice(value));
		return make("label", {class: "segment", title: disabled || null}, input,
			    make("span", {text}));
	}));
}

/* Only once per frame, however often it is asked for. */
function oncePerFrame(call) {
	let asked = false;

	return () => {
		if (asked)
			return;
		asked = true;
		requestAnimationFrame(() => {
			asked = false;
			call();
		});
	};
}

/* A canvas as large as its place, sharp on any screen. Returns its context. */
function sizeCanvas(canvas, width, height) {
	const scale = window.devicePixelRatio || 1;
	const pixelWidth = Math.max(1, Math.round(width * scale));
	const pixelHeight = Math.max(1, Math.round(height * scale));

	if (canvas.width !== pixelWidth || canvas.height !== pixelHeight) {
		canvas.width = pixelWidth;
		canvas.height = pixelHeight;
		canvas.style.height = `${height}px`;
	}
	const context = canvas.getContext("2d");

	context.setTransform(scale, 0, 0, scale, 0, 0);
	context.clearRect(0, 0, width, height);
	return context;
}

/* --- the tooltip --- */

/* @rows  [[text, value]] */
function showTip(x, y, title, subtitle, rows) {
	const tip = byId("tip");
	const list = make("dl", {});

	for (const [name, value, colour] of rows) {
		const term = make("dt", {text: name});

		if (colour) {
			const swatch = make("span", {class: "swatch"});

			swatch.style.background = colour;
			term.prepend(swatch);
		}
		list.append(term, make("dd", {text: value}));
	}
	tip.replaceChildren(make("strong", {text: title}),
			    ...(subtitle ? [make("span", {class: "tip-sub", text: subtitle})] : []), list);
	tip.hidden = false;
	const room = tip.getBoundingClientRect();
	const left = x + 14 + room.width > innerWidth ? x - room.width - 10 : x + 14;
	const top = y + 16 + room.height > innerHeight ? y - room.height - 10 : y + 16;

	tip.style.left = `${Math.max(4, left)}px`;
	tip.style.top = `${Math.max(4, top)}px`;
}

function hideTip() {
	byId("tip").hidden = true;
}
