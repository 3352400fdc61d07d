/*
 * One request and its response, from accept to finish.
 *
 * The server reads the request whole, finds out who asks, and calls the
 * route's handler.  A handler fills in the response and says SERVE_DONE; or it
 * has to wait for the sync engine, fills in `wait`, does nothing that lasts,
 * and says SERVE_PARK: the request then waits without occupying the worker,
 * and the handler is called again, from the start, when wait.ready() says so
 * or wait.until_ms has come.  In the same way it gets in line behind an open
 * transaction of this worker (SERVE_IN_TURN), behind those whose users
 * have used more than their share (SERVE_IN_CROWD, http/share.h), or goes on in another worker
 * (SERVE_HAND_OVER).
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "base/buf.h"
#include "base/spill.h"
#include "state/user.h"

#include <stdbool.h>
#include <stdint.h>

enum http_status {
	HTTP_OK = 200,
	HTTP_NO_CONTENT = 204,
	HTTP_BAD_REQUEST = 400,
	HTTP_UNAUTHORIZED = 401,
	HTTP_FORBIDDEN = 403,
	HTTP_NOT_FOUND = 404,
	HTTP_METHOD_NOT_ALLOWED = 405,
	HTTP_CONFLICT = 409,
	HTTP_TOO_LARGE = 413,
	HTTP_TOO_MANY = 429,
	HTTP_INTERNAL_ERROR = 500,
	HTTP_UNAVAILABLE = 503,
	HTTP_NO_SPACE = 507,
};

/* Borrowed from the FastCGI parameters: valid as long as the exchange. */
struct request {
	const char *method;
	const char *path; /* without the query */
	const char *query; /* "" if none */
	const char *authorization; /* NULL if none */
	const char *remote_user; /* NULL if none */
	const char *prefer; /* NULL if none */
	const char *origin; /* NULL if none */
	struct buf body; /* whole */
	struct spill *file; /* instead of the body, where the route takes a file; else NULL */
};

struct response {
	enum http_status status; /* 200 at the start */
	const char *content_type; /* "application/json" at the start; a literal */
	int retry_after_s; /* 0: no header */
	const char *challenge; /* WWW-Authenticate, a literal; NULL: no header */
	struct buf body;
	struct spill *file; /* follows the body, when it is not NULL */
	uint64_t unmade; /* the length of a file that HEAD asks about and nobody has made */
	char file_name[USER_ID_MAX + sizeof ".sqlite"]; /* for Content-Disposition; "": none */
};

struct slot;
struct exchange;

struct wait {
	bool (*ready)(const struct exchange *x);
	int64_t until_ms; /* of the monotonic clock */
	uint32_t seen; /* for ready(): what it compares with */
	uint64_t goal; /* for the handler: what it waits for */
	int rounds; /* how often this request has waited; kept by the server */
	bool retried; /* it has waited for a flagged user's retry */
	bool in_vain; /* its user has used too much for too long: refused; kept by the server */
	bool in_stream; /* of an open stream, of which there are few: not refused for waiting */
	bool its_turn; /* it has waited in line; kept by the server */
	uint32_t hops; /* how often it was handed over; kept by the server */
	unsigned worker; /* SERVE_HAND_OVER: to whom */
};

enum served {
	SERVE_DONE,
	SERVE_PARK,
	SERVE_IN_TURN,
	SERVE_IN_CROWD,
	SERVE_HAND_OVER,
};

struct exchange {
	struct request request;
	struct response response;
	struct user_id user; /* "" while nobody is known */
	bool read_only; /* the token allows no writing */
	struct slot *slot; /* of the user; NULL while nobody is known */
	bool committed; /* something was; the sync engine is to look after it */
	struct wait wait;
	int64_t arrived_ms; /* of the monotonic clock */
	int64_t arrived_us; /* the same; one that was handed over knows the millisecond only */
};

/*
 * The response becomes {"message":…,"code":…,"error":…}, which is what every
 * client can read.  Its body and file before are dropped.
 */
void exchange_error(struct exchange *x, enum http_status status, const char *code, const char *fmt,
		    ...) __attribute__((format(printf, 4, 5)));

#endif
