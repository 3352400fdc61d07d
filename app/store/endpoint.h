/*
 * The address under which a store that speaks S3 is reached, taken apart.
 *
 * It is https, or http to a loopback address, and has nothing but a host, a
 * port and a path.
 */
#ifndef STORE_ENDPOINT_H
#define STORE_ENDPOINT_H

struct endpoint {
	char *host; /* as libcurl sends it: with the port unless it is the default one */
	char *origin; /* scheme and host */
	char *path; /* decoded; "" or begins with '/', without one at the end */
};

#define ENDPOINT_INIT                                                                              \
	{                                                                                          \
		NULL, NULL, NULL                                                                   \
	}

/* NULL, or what is wrong, which does not quote the address: it may hold a secret. */
const char *endpoint_init(struct endpoint *e, const char *address);
void endpoint_release(struct endpoint *e);

#endif
