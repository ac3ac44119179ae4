/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/split_shares.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

__extension__ typedef unsigned __int128 wide;

/* A line or a function. */
struct node {
	uint64_t left; /* of its sum */
	size_t n_open; /* shares that are not known yet */
	size_t first;  /* in the list of shares */
};

struct search {
	struct split_share *shares;
	bool *is_known;	    /* by share */
	struct node *nodes; /* lines, then functions, then the end of the last one's list */
	size_t n_lines, n_nodes;
	size_t *list; /* shares, by node */
	/* Nodes with one share left; each comes here at most once. */
	size_t *ready;
	size_t n_ready;
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct node *line_of(const struct search *s, size_t share)
{
	return &s->nodes[s->shares[share].line];
}

static struct node *function_of(const struct search *s, size_t share)
{
	return &s->nodes[s->n_lines + s->shares[share].function];
}

static void link_shares(struct search *s, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		s->is_known[i] = s->shares[i].most == 0;
		line_of(s, i)->n_open += !s->is_known[i];
		function_of(s, i)->n_open += !s->is_known[i];
	}
	for (size_t i = 0; i < s->n_nodes; i++) {
		s->nodes[i].first = at;
		at += s->nodes[i].n_open;
		s->nodes[i].n_open = 0;
	}
	s->nodes[s->n_nodes].first = at;
	for (size_t i = 0; i < n; i++) {
		struct node *line = line_of(s, i), *function = function_of(s, i);

		if (s->is_known[i])
			continue;
		s->list[line->first + line->n_open++] = i;
		s->list[function->first + function->n_open++] = i;
	}
}

/* Give a share more, as far as it and its line have room. */
static void give(struct search *s, size_t share, uint64_t amount)
{
	struct split_share *to = &s->shares[share];
	struct node *line = line_of(s, share), *function = function_of(s, share);

	amount = least(least(amount, line->left), to->most - to->found);
	to->found += amount;
	line->left -= amount;
	function->left -= least(amount, function->left);
}

static void close_at(struct search *s, struct node *node)
{
	if (--node->n_open == 1)
		s->ready[s->n_ready++] = (size_t)(node - s->nodes);
}

static void set_known(struct search *s, size_t share)
{
	s->is_known[share] = true;
	close_at(s, line_of(s, share));
	close_at(s, function_of(s, share));
}

/* All but one of its shares are known. */
static void give_rest(struct search *s, const struct node *node)
{
	for (size_t i = node[0].first; i < node[1].first; i++) {
		if (!s->is_known[s->list[i]]) {
			give(s, s->list[i], node->left);
			set_known(s, s->list[i]);
			return;
		}
	}
}

/* amount * part / whole, rounded down. */
static uint64_t scale(uint64_t amount, uint64_t part, uint64_t whole)
{
	return whole ? (uint64_t)((wide)amount * least(part, whole) / whole) : 0;
}

static void spread(struct search *s, const struct node *line)
{
	uint64_t listed = 0, weight = 0, all = line->left, rest;

	for (size_t i = line[0].first; i < line[1].first; i++) {
		const struct split_share *share = &s->shares[s->list[i]];

		if (s->is_known[s->list[i]])
			continue;
		listed += share->listed;
		weight += share->weight;
	}
	rest = all > listed ? all - listed : 0;
	for (size_t i = line[0].first; i < line[1].first; i++) {
		const struct split_share *share = &s->shares[s->list[i]];
		uint64_t amount =
		    scale(all - rest, share->listed, listed) + scale(rest, share->weight, weight);

		if (!s->is_known[s->list[i]])
			give(s, s->list[i], least(amount, function_of(s, s->list[i])->left));
	}
	/* What was rounded off, or more than a function has. */
	for (size_t i = line[0].first; i < line[1].first; i++) {
		if (s->is_known[s->list[i]])
			continue;
		give(s, s->list[i], function_of(s, s->list[i])->left);
		set_known(s, s->list[i]);
	}
}

static void give_known(struct search *s)
{
	while (s->n_ready) {
		const struct node *node = &s->nodes[s->ready[--s->n_ready]];

		if (node->n_open == 1)
			give_rest(s, node);
	}
}

void split_shares_find(struct split_share *shares, size_t n, const uint64_t *lines, size_t n_lines,
		       const uint64_t *functions, size_t n_functions)
{
	size_t n_nodes = n_lines + n_functions;
	auto_free bool *is_known = xcalloc(n + 1, sizeof(*is_known));
	auto_free struct node *nodes = xcalloc(n_nodes + 1, sizeof(*nodes));
	auto_free size_t *list = xcalloc(2 * n + 1, sizeof(*list));
	auto_free size_t *ready = xcalloc(n_nodes + 1, sizeof(*ready));
	struct search s = {shares, is_known, nodes, n_lines, n_nodes, list, ready, 0};

	for (size_t i = 0; i < n; i++)
		shares[i].found = 0;
	for (size_t i = 0; i < n_nodes; i++)
		nodes[i].left = i < n_lines ? lines[i] : functions[i - n_lines];
	link_shares(&s, n);
	for (size_t i = 0; i < n_nodes; i++) {
		if (nodes[i].n_open == 1)
			ready[s.n_ready++] = i;
	}
	give_known(&s);
	for (size_t i = 0; i < n_lines; i++) {
		if (!nodes[i].n_open)
			continue;
		spread(&s, &nodes[i]);
		give_known(&s);
	}
	/* Where functions say less than their lines. */
	for (size_t i = 0; i < n; i++)
		give(&s, i, UINT64_MAX);
}
