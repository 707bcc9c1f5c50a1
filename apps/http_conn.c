#include "config.h"

#include "apps/http_conn.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "apps/http_cond.h"
#include "apps/http_head.h"
#include "apps/http_path.h"
#include "apps/http_range.h"
#include "apps/http_request.h"

struct http_conn *http_conn_new(struct http_site *site, int qd)
{
	struct http_conn *conn = calloc(1, sizeof(*conn));
	int on = 1;

	if (!conn)
		return NULL;
	site->count.connections++;
	conn->qd = qd;
	/* a backend without TCP has nothing to turn off */
	(void)demi_setsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return conn;
}

static void drop_popped(struct http_conn *conn)
{
	if (conn->sga.sga_buf)
		demi_sgafree(&conn->sga);
	conn->sga.sga_buf = NULL;
	conn->n_bytes = 0;
}

static void drop_room(struct http_conn *conn)
{
	if (conn->room.sga_buf)
		demi_sgafree(&conn->room);
	conn->room.sga_buf = NULL;
}

/* Before a request is looked at there is a buffer for its answer. */
static bool make_room(struct http_site *site, struct http_conn *conn)
{
	if (!conn->room.sga_buf)
		conn->room = demi_sgaalloc(HTTP_HEAD_ROOM);
	if (!conn->room.sga_buf)
		site->count.no_memory++;
	return conn->room.sga_buf;
}

static void drop_file(struct http_site *site, struct http_conn *conn)
{
	if (conn->file)
		http_cache_close(site->cache, conn->file);
	conn->file = NULL;
}

static void drop_gathered(struct http_conn *conn)
{
	free(conn->gathered);
	conn->gathered = NULL;
	conn->gathered_at = conn->n_gathered = conn->seen = 0;
}

void http_conn_free(struct http_site *site, struct http_conn *conn)
{
	drop_popped(conn);
	drop_room(conn);
	drop_file(site, conn);
	drop_gathered(conn);
	demi_close(conn->qd);
	free(conn);
}

static bool ask_pop(struct http_conn *conn, enum http_state state)
{
	demi_qtoken_t qt;

	conn->state = (uint8_t)state;
	return demi_pop(&qt, conn->qd) == 0;
}

bool http_conn_start(struct http_site *site, struct http_conn *conn)
{
	conn->since = site->now_ns;
	return ask_pop(conn, HTTP_STATE_READING);
}

/* ---- the answer */

static bool push(struct http_site *site, struct http_conn *conn, const demi_sgarray_t *sga)
{
	demi_qtoken_t qt;

	conn->state = HTTP_STATE_WRITING;
	conn->since = site->now_ns;
	return demi_push(&qt, conn->qd, sga) == 0;
}

/* The next bytes of the file into seg. An error cuts the answer short: the client
 * sees that bytes are missing. */
static int take_chunk(struct http_site *site, struct http_conn *conn, demi_sgaseg_t *seg)
{
	int err = http_cache_read(site->cache, conn->file, conn->pos, conn->end, seg);

	if (err == ENOMEM)
		site->count.no_memory++;
	if (err)
		return err;
	conn->pos += seg->sgaseg_len;
	site->count.bytes += seg->sgaseg_len;
	return 0;
}

static bool push_chunk(struct http_site *site, struct http_conn *conn)
{
	demi_sgarray_t sga = {.sga_numsegs = 1};
	int err = take_chunk(site, conn, &sga.sga_segs[0]);

	if (err == ENOMEM) {
		conn->state = HTTP_STATE_STARVING;
		return true;
	}
	if (err) {
		site->count.cut++;
		return false;
	}
	return push(site, conn, &sga);
}

/* Into conn->room: the head, and the first bytes of the body behind it. */
static bool push_answer(struct http_site *site, struct http_conn *conn, struct http_head *head)
{
	demi_sgarray_t sga = {.sga_numsegs = 1};
	size_t room = conn->room.sga_segs[0].sgaseg_len;
	bool alive;

	head->date = site->date;
	sga.sga_segs[0] = conn->room.sga_segs[0];
	sga.sga_segs[0].sgaseg_len =
		(uint32_t)http_head_write(conn->room.sga_segs[0].sgaseg_buf, room, head);
	/* without memory, or if the file has changed, that is found out again after
	 * the head */
	if (conn->pos < conn->end && take_chunk(site, conn, &sga.sga_segs[1]) == 0)
		sga.sga_numsegs = 2;
	site->count.requests++;
	site->count.by_class[head->status / 100]++;
	conn->last = !head->keep_alive;
	alive = push(site, conn, &sga);
	drop_room(conn);
	return alive;
}

static bool refuse(struct http_site *site, struct http_conn *conn, const struct http_request *req,
		   int status)
{
	struct http_head head = {
		.status = status,
		.http10 = req->http10,
		.keep_alive = req->keep_alive && !site->closing,
		.no_body = req->method == HTTP_METHOD_HEAD,
	};

	return push_answer(site, conn, &head);
}

static bool redirect(struct http_site *site, struct http_conn *conn,
		     const struct http_request *req, const char *path)
{
	char location[3 * HTTP_PATH_ROOM + 3];
	size_t len = http_path_encode_dir(location, path);
	demi_sgarray_t room = demi_sgaalloc(HTTP_HEAD_ROOM + len);
	struct http_head head = {
		.status = 301,
		.http10 = req->http10,
		.keep_alive = req->keep_alive && !site->closing,
		.location = location,
		.no_body = req->method == HTTP_METHOD_HEAD,
	};

	if (!room.sga_buf)
		return refuse(site, conn, req, 503);
	drop_room(conn);
	conn->room = room;
	return push_answer(site, conn, &head);
}

static int status_of(int err)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
	case ELOOP:
		return 404;
	case EXDEV:
	case EACCES:
	case EPERM:
	case ENXIO: /* a socket's file */
		return 403;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EAGAIN:
		return 503;
	default:
		return 500;
	}
}

/* Of the file that conn has: which bytes, and with what status. */
static int choose(const struct http_site *site, struct http_conn *conn,
		  const struct http_request *req)
{
	struct http_file *file = conn->file;
	struct http_version version = {file->etag, file->mtime.tv_sec};
	int status = http_cond_check(req, &version);

	if (status)
		return status;
	conn->pos = 0;
	conn->end = file->size;
	/* RFC 9110 14.2: a range means something in a GET only */
	if (!req->range.at || req->method != HTTP_METHOD_GET ||
	    !http_cond_range_holds(req, &version, site->now))
		return 200;
	switch (http_range_parse(req->range, file->size, &conn->pos, &conn->end)) {
	case HTTP_RANGE_PART:
		return 206;
	case HTTP_RANGE_OUTSIDE:
		conn->pos = conn->end;
		return 416;
	case HTTP_RANGE_WHOLE:
		break;
	}
	return 200;
}

static bool send_file(struct http_site *site, struct http_conn *conn,
		      const struct http_request *req)
{
	struct http_head head = {
		.http10 = req->http10,
		.keep_alive = req->keep_alive && !site->closing,
		.file = conn->file,
		.no_body = req->method == HTTP_METHOD_HEAD,
	};

	conn->pos = conn->end = 0;
	head.status = choose(site, conn, req);
	head.first = conn->pos;
	head.end = conn->end;
	if (head.no_body)
		conn->pos = conn->end;
	return push_answer(site, conn, &head);
}

static bool answer(struct http_site *site, struct http_conn *conn, const struct http_request *req)
{
	char path[HTTP_PATH_ROOM];
	int status, err;

	if (req->method == HTTP_METHOD_UNKNOWN)
		return refuse(site, conn, req, 501);
	if (req->method == HTTP_METHOD_REFUSED)
		return refuse(site, conn, req, 405);
	status = http_path_decode(path, req->target);
	if (status)
		return refuse(site, conn, req, status);
	err = http_cache_open(site->cache, path, &conn->file);
	if (err == EISDIR)
		return redirect(site, conn, req, path);
	if (err)
		return refuse(site, conn, req, status_of(err));
	return send_file(site, conn, req);
}

/* ---- the requests */

/* Of an answer after which nothing can be understood any more. */
static bool refuse_all(struct http_site *site, struct http_conn *conn, int status)
{
	const struct http_request req = {0};

	drop_gathered(conn);
	drop_popped(conn);
	conn->skip = 0;
	return refuse(site, conn, &req, status);
}

/* The bytes to look at next, where they lie. */
static struct http_text next_bytes(const struct http_conn *conn)
{
	if (conn->n_gathered > 0)
		return (struct http_text){conn->gathered + conn->gathered_at, conn->n_gathered};
	return (struct http_text){conn->bytes, conn->n_bytes};
}

/* n of next_bytes() are done with. */
static void advance(struct http_conn *conn, uint32_t n)
{
	if (conn->n_gathered > 0) {
		conn->gathered_at += n;
		conn->n_gathered -= n;
		conn->seen = 0;
		if (conn->n_gathered == 0)
			drop_gathered(conn);
	} else {
		conn->bytes += n;
		conn->n_bytes -= n;
		if (conn->n_bytes == 0)
			drop_popped(conn);
	}
}

/* Copies what was popped behind what is gathered, as far as there is room. */
static bool gather(struct http_conn *conn)
{
	uint32_t n = HTTP_HEAD_MAX - conn->n_gathered;

	if (!conn->gathered)
		conn->gathered = malloc(HTTP_HEAD_MAX);
	if (!conn->gathered)
		return false;
	memmove(conn->gathered, conn->gathered + conn->gathered_at, conn->n_gathered);
	conn->gathered_at = 0;
	if (conn->n_bytes < n)
		n = conn->n_bytes;
	memcpy(conn->gathered + conn->n_gathered, conn->bytes, n);
	conn->n_gathered += n;
	conn->bytes += n;
	conn->n_bytes -= n;
	if (conn->n_bytes == 0)
		drop_popped(conn);
	return true;
}

enum step {
	STEP_ON,	/* something was done */
	STEP_MORE,	/* more has to be popped */
	STEP_DEAD,
};

static enum step on_head(struct http_site *site, struct http_conn *conn, struct http_text head)
{
	struct http_request req;
	int status = http_request_parse(&req, head.at, head.len);
	bool alive;

	conn->partial = false;
	if (status)
		return refuse_all(site, conn, status) ? STEP_ON : STEP_DEAD;
	conn->skip = req.body;
	alive = answer(site, conn, &req);
	advance(conn, (uint32_t)head.len);
	return alive ? STEP_ON : STEP_DEAD;
}

/* A head that is not all there, and is gathered while it comes. */
static enum step on_partial(struct http_site *site, struct http_conn *conn)
{
	int status;

	if (!conn->partial)
		conn->since = site->now_ns; /* its time, however it trickles */
	conn->partial = true;
	conn->seen = conn->n_gathered;
	if (!gather(conn))
		return STEP_DEAD;
	status = http_request_too_long(conn->gathered, conn->n_gathered);
	if (http_fields_end(conn->gathered, conn->n_gathered, conn->seen))
		return STEP_ON;
	if (status)
		return refuse_all(site, conn, status) ? STEP_ON : STEP_DEAD;
	return STEP_MORE;
}

static enum step read_some(struct http_site *site, struct http_conn *conn)
{
	struct http_text next = next_bytes(conn);
	size_t len;

	if (next.len == 0)
		return STEP_MORE;
	if (conn->skip > 0) {
		len = conn->skip < next.len ? (size_t)conn->skip : next.len;
		conn->skip -= len;
		advance(conn, (uint32_t)len);
		return STEP_ON;
	}
	if (next.at[0] == '\r' || next.at[0] == '\n') {
		advance(conn, 1); /* RFC 9112 2.2: an empty line before a request */
		return STEP_ON;
	}
	if (!make_room(site, conn)) {
		conn->state = HTTP_STATE_STARVING;
		return STEP_ON;
	}
	len = http_fields_end(next.at, next.len, conn->seen);
	if (len > 0 && len <= HTTP_HEAD_MAX)
		return on_head(site, conn, (struct http_text){next.at, len});
	return on_partial(site, conn);
}

/* Until an answer is under way, or more bytes are needed. */
static bool read_requests(struct http_site *site, struct http_conn *conn)
{
	enum step step = STEP_ON;

	conn->state = HTTP_STATE_READING;
	while (step == STEP_ON && conn->state == HTTP_STATE_READING)
		step = read_some(site, conn);
	if (step == STEP_DEAD)
		return false;
	if (step == STEP_MORE) {
		drop_room(conn);
		return ask_pop(conn, HTTP_STATE_READING);
	}
	/* a popped buffer is much memory to keep for a few bytes while others wait */
	return conn->n_bytes == 0 || conn->n_bytes > HTTP_HEAD_MAX || gather(conn);
}

static bool linger(struct http_site *site, struct http_conn *conn)
{
	drop_popped(conn);
	conn->since = site->now_ns;
	return demi_shutdown(conn->qd, SHUT_WR) == 0 && ask_pop(conn, HTTP_STATE_LINGERING);
}

/* ---- what happens to it */

bool http_conn_on_pop(struct http_site *site, struct http_conn *conn, const demi_sgarray_t *sga)
{
	demi_sgarray_t unwanted = *sga;
	bool end = sga->sga_segs[0].sgaseg_len == 0;

	if (conn->state == HTTP_STATE_READING && !end) {
		conn->sga = *sga;
		conn->bytes = sga->sga_segs[0].sgaseg_buf;
		conn->n_bytes = sga->sga_segs[0].sgaseg_len;
		return read_requests(site, conn);
	}
	demi_sgafree(&unwanted);
	if (conn->state == HTTP_STATE_LINGERING && !end)
		return ask_pop(conn, HTTP_STATE_LINGERING);
	/* a pop may come while writing, if its request's time was over: the answer
	 * that says so is finished first */
	return conn->state == HTTP_STATE_WRITING || conn->state == HTTP_STATE_STARVING;
}

bool http_conn_on_push(struct http_site *site, struct http_conn *conn)
{
	if (conn->pos < conn->end)
		return push_chunk(site, conn);
	drop_file(site, conn);
	if (conn->last)
		return linger(site, conn);
	if (site->closing)
		return false;
	conn->since = site->now_ns;
	return read_requests(site, conn);
}

bool http_conn_resume(struct http_site *site, struct http_conn *conn)
{
	return conn->pos < conn->end ? push_chunk(site, conn) : read_requests(site, conn);
}

static void reset(const struct http_conn *conn)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	(void)demi_setsockopt(conn->qd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

bool http_conn_on_timeout(struct http_site *site, struct http_conn *conn)
{
	bool writing = conn->state == HTTP_STATE_WRITING || conn->state == HTTP_STATE_STARVING;

	if (conn->state != HTTP_STATE_LINGERING)
		site->count.timeouts++;
	if (conn->state == HTTP_STATE_READING && conn->partial && make_room(site, conn))
		return refuse_all(site, conn, 408);
	if (writing)
		reset(conn); /* what it does not take need not be kept for it */
	return false;
}

bool http_conn_on_end(const struct http_conn *conn)
{
	return conn->state != HTTP_STATE_READING;
}
