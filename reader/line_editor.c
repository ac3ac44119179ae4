/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/line_editor.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/xalloc.h"

#define LINE_MAX_BYTES 4096
#define HISTORY_MAX    200

static void forget_offers(struct line_editor *e)
{
	for (size_t i = 0; i < e->n_offers; i++)
		free(e->offers[i]);
	free(e->offers);
	e->offers = NULL;
	e->n_offers = 0;
}

void line_editor_done(struct line_editor *e)
{
	forget_offers(e);
	for (size_t i = 0; i < e->n_history; i++)
		free(e->history[i]);
	free(e->history);
	free(e->new_line);
	free(e->text);
	*e = (struct line_editor){0};
}

static void set_text(struct line_editor *e, const char *text)
{
	e->len = strlen(text);
	e->text = xgrow(e->text, &e->cap, e->len + 1, 1);
	memcpy(e->text, text, e->len + 1);
	e->at = e->len;
}

void line_editor_start(struct line_editor *e, const char *text)
{
	forget_offers(e);
	set_text(e, text);
	e->in_history = e->n_history;
}

static size_t encode(uint32_t c, char ret[static 4])
{
	if (c < 0x80) {
		ret[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		ret[0] = (char)(0xc0 | c >> 6);
		ret[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		ret[0] = (char)(0xe0 | c >> 12);
		ret[1] = (char)(0x80 | (c >> 6 & 0x3f));
		ret[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	ret[0] = (char)(0xf0 | c >> 18);
	ret[1] = (char)(0x80 | (c >> 12 & 0x3f));
	ret[2] = (char)(0x80 | (c >> 6 & 0x3f));
	ret[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

void line_editor_insert(struct line_editor *e, uint32_t character)
{
	char bytes[4];
	size_t n;

	forget_offers(e);
	if (text_is_control(character) || character > 0x10ffff ||
	    (character >= 0xd800 && character < 0xe000))
		return;
	n = encode(character, bytes);
	if (e->len + n > LINE_MAX_BYTES)
		return;
	e->text = xgrow(e->text, &e->cap, e->len + n + 1, 1);
	memmove(e->text + e->at + n, e->text + e->at, e->len - e->at + 1);
	memcpy(e->text + e->at, bytes, n);
	e->len += n;
	e->at += n;
}

static bool is_inside(char c)
{
	return (c & 0xc0) == 0x80;
}

static size_t before(const struct line_editor *e, size_t at)
{
	if (at > 0)
		at--;
	while (at > 0 && is_inside(e->text[at]))
		at--;
	return at;
}

static size_t behind(const struct line_editor *e, size_t at)
{
	if (at < e->len)
		at++;
	while (at < e->len && is_inside(e->text[at]))
		at++;
	return at;
}

static void delete (struct line_editor *e, size_t from, size_t to)
{
	memmove(e->text + from, e->text + to, e->len - to + 1);
	e->len -= to - from;
	e->at = from;
}

static size_t word_before(const struct line_editor *e)
{
	size_t at = e->at;

	while (at > 0 && e->text[at - 1] == ' ')
		at--;
	while (at > 0 && e->text[at - 1] != ' ')
		at--;
	return at;
}

static void go_in_history(struct line_editor *e, size_t to)
{
	if (e->in_history == e->n_history) {
		free(e->new_line);
		e->new_line = xstrdup(e->text);
	}
	e->in_history = to;
	set_text(e, to == e->n_history ? e->new_line : e->history[to]);
}

void line_editor_edit(struct line_editor *e, enum line_edit what)
{
	forget_offers(e);
	switch (what) {
	case EDIT_LEFT:
		e->at = before(e, e->at);
		break;
	case EDIT_RIGHT:
		e->at = behind(e, e->at);
		break;
	case EDIT_HOME:
		e->at = 0;
		break;
	case EDIT_END:
		e->at = e->len;
		break;
	case EDIT_BACKSPACE:
		delete (e, before(e, e->at), e->at);
		break;
	case EDIT_DELETE:
		delete (e, e->at, behind(e, e->at));
		break;
	case EDIT_DELETE_WORD:
		delete (e, word_before(e), e->at);
		break;
	case EDIT_DELETE_TO_START:
		delete (e, 0, e->at);
		break;
	case EDIT_DELETE_TO_END:
		delete (e, e->at, e->len);
		break;
	case EDIT_OLDER:
		if (e->in_history > 0)
			go_in_history(e, e->in_history - 1);
		break;
	case EDIT_NEWER:
		if (e->in_history < e->n_history)
			go_in_history(e, e->in_history + 1);
		break;
	}
}

static size_t common_length(char **lines, size_t n)
{
	size_t len = strlen(lines[0]);

	for (size_t i = 1; i < n; i++) {
		size_t same = 0;

		while (same < len && lines[i][same] == lines[0][same])
			same++;
		len = same;
	}
	/* Not in the middle of a character. */
	while (len > 0 && is_inside(lines[0][len]))
		len--;
	return len;
}

void line_editor_complete(struct line_editor *e,
			  size_t (*complete)(void *ctx, const char *line, char ***ret), void *ctx)
{
	size_t common;

	if (e->n_offers) {
		e->offer = (e->offer + 1) % e->n_offers;
		set_text(e, e->offers[e->offer]);
		return;
	}
	e->n_offers = complete(ctx, e->text, &e->offers);
	if (!e->n_offers) {
		forget_offers(e);
		return;
	}
	common = common_length(e->offers, e->n_offers);
	if (e->n_offers == 1 || common > e->len) {
		e->offers[0][common] = 0;
		set_text(e, e->offers[0]);
		forget_offers(e);
		return;
	}
	e->offer = 0;
	set_text(e, e->offers[0]);
}

const char *line_editor_accept(struct line_editor *e)
{
	bool is_last = e->n_history && strcmp(e->history[e->n_history - 1], e->text) == 0;

	forget_offers(e);
	if (e->len && !is_last) {
		if (e->n_history == HISTORY_MAX) {
			free(e->history[0]);
			memmove(e->history, e->history + 1,
				(e->n_history - 1) * sizeof(*e->history));
			e->n_history--;
		}
		e->history =
		    xgrow(e->history, &e->cap_history, e->n_history + 1, sizeof(*e->history));
		e->history[e->n_history++] = xstrdup(e->text);
	}
	e->in_history = e->n_history;
	return e->text;
}
