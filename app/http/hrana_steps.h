/*
 * A batch: statements as steps, each with a condition on those before it.
 */
#ifndef HTTP_HRANA_STEPS_H
#define HTTP_HRANA_STEPS_H

#include "base/json_read.h"
#include "http/hrana_stream.h"

#include <stdbool.h>

/* NULL, or what is wrong. */
const char *hrana_steps_check(const struct json *batch, const struct hrana_store *store);
size_t hrana_steps_count(const struct json *batch);

/* Appends {"step_results":…,"step_errors":…}; steps fail in there, the batch does not. */
void hrana_steps_run(struct hrana_stream *s, const struct json *batch);
/* The same as lines of a cursor: each step that runs begins and ends, or fails. */
void hrana_steps_run_lines(struct hrana_stream *s, const struct json *batch);
bool hrana_steps_would_write(struct hrana_stream *s, const struct json *batch);

#endif
