/*
 * The store behind s3://: Cloudflare R2, or what speaks S3 as it does.
 *
 * Certificates are verified against the system's authorities, or against those
 * in the file that the environment variable SSL_CERT_FILE names.
 */
#ifndef STORE_S3_H
#define STORE_S3_H

#include "store/object.h"

/*
 * `prefix` is "" or ends with '/'.  NULL with a sentence in `why` that names no
 * secret.  Where SIGPIPE would end the process it is ignored from now on:
 * OpenSSL writes to sockets without asking for EPIPE.
 */
struct store *s3_new(const struct store_config *c, const char *bucket, const char *prefix,
		     char *why, size_t why_size);

#endif
