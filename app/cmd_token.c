#include "cmd.h"

#include "base/clock.h"
#include "config.h"
#include "http/jwt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TTL_STANDARD_S = 3600 };
static const int64_t ttl_max_s = INT64_C(100) * 366 * 86400;

static int64_t unit_seconds(const char *unit)
{
	static const struct {
		const char *unit;
		int64_t seconds;
	} units[] = { { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (strcmp(unit, units[i].unit) == 0)
			return units[i].seconds;
	}
	return 0;
}

static int parse_ttl(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	long long n = strtoll(text, &end, 10);
	int64_t unit = unit_seconds(end);
	if (text[0] < '0' || text[0] > '9' || errno != 0 || unit == 0 || n < 1 ||
	    n > ttl_max_s / unit) {
		(void)fprintf(stderr, "holdfast: --ttl '%s' is no time like 90s, 30m, 1h, 7d\n",
			      text);
		return -1;
	}
	*out = n * unit;
	return 0;
}

static int parse_user(const char *text, struct user_id *out)
{
	if (user_id_parse(text, strlen(text), out) == 0)
		return 0;
	(void)fprintf(stderr, "holdfast: '%s' is no user id: 1 to 64 of A-Z a-z 0-9 _ . @ -\n",
		      text);
	return -1;
}

/* -1: already said what is wrong, or that nothing more than usage needs to be. */
static int parse_arguments(int argc, char **argv, struct jwt_claims *claims, int64_t *ttl_s)
{
	const char *user = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--ro") == 0)
			claims->read_only = true;
		else if (strcmp(argv[i], "--ttl") == 0 && i + 1 < argc) {
			if (parse_ttl(argv[++i], ttl_s) < 0)
				return -1;
		} else if (argv[i][0] != '-' && user == NULL)
			user = argv[i];
		else
			return -1;
	}
	return user == NULL ? -1 : parse_user(user, &claims->user);
}

static int print_token(const struct config *c, const struct jwt_claims *claims, int64_t now_s)
{
	struct jwt_rules rules = c->server.jwt;
	char why[JWKS_WHY_MAX];
	struct buf token = BUF_INIT;
	int result = CMD_FAILED;
	struct jwks *keys = jwks_read(c->jwt_key_files, NULL, why);

	if (keys == NULL) {
		(void)fprintf(stderr, "holdfast: HOLDFAST_JWT_KEY_FILE: %s\n", why);
		return CMD_FAILED;
	}
	rules.keys = keys;
	if (jwt_sign(&rules, claims, now_s, &token) < 0)
		(void)fprintf(stderr, "holdfast: HOLDFAST_JWT_KEY_FILE: "
				      "a public key can verify tokens but not make them\n");
	else if (printf("%s\n", token.data) > 0 && fflush(stdout) == 0)
		result = CMD_OK;
	buf_release(&token);
	jwks_free(keys);
	return result;
}

int cmd_token(int argc, char **argv)
{
	struct jwt_claims claims = { 0 };
	int64_t ttl_s = TTL_STANDARD_S;
	int64_t now_s = clock_wall_ms() / 1000;
	struct config c;

	if (parse_arguments(argc, argv, &claims, &ttl_s) < 0)
		return cmd_usage(argv[0]);
	if (config_load(CONFIG_KEY, &c) < 0)
		return CMD_USAGE;
	claims.expires_s = now_s + ttl_s;
	int result = print_token(&c, &claims, now_s);
	config_release(&c);
	return result;
}
