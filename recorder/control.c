/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/control.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/control_protocol.h"
#include "common/json.h"
#include "common/xalloc.h"
#include "recorder/control_socket.h"

static const struct timeval patience = {.tv_sec = CONTROL_PATIENCE_S};
/* Until the next try, when there are no descriptors left. */
static const struct timeval accept_pause = {.tv_sec = 1};

struct client {
	struct control *control;
	int fd; /* -1: a free place */
	struct event *readable, *writable, *too_late;
	char request[CONTROL_REQUEST_MAX + 1]; /* with its line's end, of which a NUL is made */
	size_t len;
	char *answer;
	size_t answer_len, sent;
};

struct control {
	control_request_fn on_request;
	void *ctx;
	struct event_base *base;
	struct control_socket socket;
	struct event *acceptable, *accept_again;
	struct client clients[CONTROL_CLIENTS_MAX];
	unsigned n_clients;
};

static void free_event(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

static struct event *new_event(struct event_base *base, int fd, short what, event_callback_fn fn,
			       void *ctx)
{
	struct event *event = event_new(base, fd, what, fn, ctx);

	if (!event)
		xalloc_failed();
	return event;
}

static void client_drop(struct client *client)
{
	struct control *c = client->control;

	free_event(&client->readable);
	free_event(&client->writable);
	free_event(&client->too_late);
	close(client->fd);
	free(client->answer);
	*client = (struct client){.fd = -1};
	/* One of those who wait has a place now. */
	if (c->n_clients-- == CONTROL_CLIENTS_MAX &&
	    !event_pending(c->accept_again, EV_TIMEOUT, NULL))
		event_add(c->acceptable, NULL);
}

/* --- the answer --- */

static bool would_block(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static void client_send(struct client *client)
{
	while (client->sent < client->answer_len) {
		ssize_t n = send(client->fd, client->answer + client->sent,
				 client->answer_len - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && would_block(errno)) {
			event_add(client->writable, NULL);
			return;
		}
		if (n < 0)
			break;
		client->sent += (size_t)n;
	}
	client_drop(client);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	client_send(ctx);
}

static void write_error(FILE *out, const char *error)
{
	struct json_writer j;

	json_begin(&j, out);
	json_string(&j, "version", TRACKEXEC_VERSION);
	json_string(&j, "error", error);
	json_end(&j);
}

static FILE *begin_answer(struct client *client)
{
	FILE *f;

	free(client->answer);
	client->answer = NULL;
	f = open_memstream(&client->answer, &client->answer_len);
	if (!f)
		xalloc_failed();
	return f;
}

/* The text is there when the stream is closed. */
static void end_answer(FILE *f)
{
	if (fclose(f) != 0)
		xalloc_failed();
}

static void answer_error(struct client *client, const char *error)
{
	FILE *f = begin_answer(client);

	write_error(f, error);
	end_answer(f);
}

static bool is_printable(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] < ' ' || s[i] > '~')
			return false;
	return len > 0;
}

/* @fault  what is wrong with the request, or NULL */
static void client_answer(struct client *client, const char *fault)
{
	const struct control *c = client->control;
	FILE *f;
	int r;

	event_del(client->readable);
	event_add(client->too_late, &patience);
	if (fault) {
		answer_error(client, fault);
	} else {
		f = begin_answer(client);
		r = c->on_request(c->ctx, client->request, f);
		end_answer(f);
		if (r < 0)
			answer_error(client, r == -EOPNOTSUPP ? "no such request" : strerror(-r));
	}
	client_send(client);
}

/* --- the request --- */

/* @len  without the line's end */
static void client_take_line(struct client *client, size_t len)
{
	client->request[len] = '\0';
	client_answer(client, is_printable(client->request, len) ? NULL : "not a request");
}

static void client_read(struct client *client)
{
	const size_t size = sizeof(client->request);
	const char *end;
	ssize_t n =
	    recv(client->fd, client->request + client->len, size - client->len, MSG_DONTWAIT);

	if (n < 0 && would_block(errno))
		return;
	/* Who ends without a line's end has said all of it, too. */
	if (n < 0 || (n == 0 && client->len == 0)) {
		client_drop(client);
		return;
	}
	client->len += (size_t)n;
	end = memchr(client->request, '\n', client->len);
	if (end)
		client_take_line(client, (size_t)(end - client->request));
	else if (client->len == size)
		client_answer(client, "the request is too long");
	else if (n == 0)
		client_take_line(client, client->len);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	client_read(ctx);
}

static void on_too_late(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	client_drop(ctx);
}

/* --- clients come --- */

static struct client *find_place(struct control *c)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (c->clients[i].fd < 0)
			return &c->clients[i];
	return NULL;
}

static void client_init(struct client *client, struct control *c, int fd)
{
	*client = (struct client){.control = c, .fd = fd};
	client->readable = new_event(c->base, fd, EV_READ | EV_PERSIST, on_readable, client);
	client->writable = new_event(c->base, fd, EV_WRITE, on_writable, client);
	client->too_late = new_event(c->base, -1, EV_TIMEOUT, on_too_late, client);
	event_add(client->readable, NULL);
	event_add(client->too_late, &patience);
	c->n_clients++;
}

static void accept_one(struct control *c)
{
	struct client *place = find_place(c);
	int fd;

	if (!place) {
		event_del(c->acceptable);
		return;
	}
	fd = accept4(c->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		client_init(place, c, fd);
		return;
	}
	/* Gone again; or something that will not be better at once, such as too many files. */
	if (would_block(errno) || errno == ECONNABORTED)
		return;
	event_del(c->acceptable);
	event_add(c->accept_again, &accept_pause);
}

static void on_acceptable(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	accept_one(ctx);
}

static void on_accept_again(evutil_socket_t fd, short what, void *ctx)
{
	struct control *c = ctx;

	(void)fd;
	(void)what;
	event_add(c->acceptable, NULL);
}

int control_new(struct event_base *base, const char *path, gid_t gid, control_request_fn on_request,
		void *ctx, struct control **ret, char *why, size_t why_size)
{
	struct control_socket socket;
	struct control *c;
	int r = control_socket_open(path, gid, &socket, why, why_size);

	if (r < 0)
		return r;
	c = xcalloc(1, sizeof(*c));
	c->base = base;
	c->on_request = on_request;
	c->ctx = ctx;
	c->socket = socket;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		c->clients[i].fd = -1;
	c->acceptable = new_event(base, socket.fd, EV_READ | EV_PERSIST, on_acceptable, c);
	c->accept_again = new_event(base, -1, EV_TIMEOUT, on_accept_again, c);
	event_add(c->acceptable, NULL);
	*ret = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (c->clients[i].fd >= 0)
			client_drop(&c->clients[i]);
	free_event(&c->acceptable);
	free_event(&c->accept_again);
	control_socket_close(&c->socket);
	free(c);
}
