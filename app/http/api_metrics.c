#include "http/api_metrics.h"

#include "base/clock.h"
#include "state/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The Makefile knows it. */
#ifndef HOLDFAST_VERSION
#define HOLDFAST_VERSION "unknown"
#endif

enum { CENSUS_MS = 1000, LABELS_MAX = 64 };

static const char *const route_name[METRICS_ROUTES] = {
	[METRICS_EXECUTE] = "execute", [METRICS_PIPELINE] = "pipeline", [METRICS_CURSOR] = "cursor",
	[METRICS_SYNC] = "sync",       [METRICS_PROBE] = "probe",	[METRICS_OTHER] = "other",
};

static const char *const class_name[METRICS_CLASSES] = { "1xx", "2xx", "3xx", "4xx", "5xx" };

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put(struct buf *out, const char *name, const char *type, const char *help, uint64_t n)
{
	put_head(out, name, type, help);
	buf_addf(out, "%s %" PRIu64 "\n", name, n);
}

static void put_seconds(struct buf *out, const char *name, const char *help, int64_t ms)
{
	put_head(out, name, "gauge", help);
	buf_addf(out, "%s %" PRId64 ".%03d\n", name, ms / 1000, (int)(ms % 1000));
}

static void put_labelled(struct buf *out, const char *name, const char *label, const char *value,
			 uint64_t n)
{
	buf_addf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, n);
}

/* `labels` end with a comma, if there are any. */
static void put_buckets(struct buf *out, const char *name, const char *labels,
			const struct metrics_histogram *h)
{
	uint64_t sum_us = h->sum_us, n = 0;
	size_t len = strlen(labels);
	int last = (int)(len > 0 ? len - 1 : 0);

	for (int i = 0; i < METRICS_BOUNDS; i++) {
		n += h->buckets[i];
		buf_addf(out, "%s_bucket{%sle=\"%g\"} %" PRIu64 "\n", name, labels,
			 (double)metrics_bound_us[i] / 1e6, n);
	}
	n += h->buckets[METRICS_BOUNDS];
	buf_addf(out, "%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, n);
	const char *open = len > 0 ? "{" : "", *close = len > 0 ? "}" : "";
	buf_addf(out, "%s_sum%s%.*s%s %" PRIu64 ".%06d\n", name, open, last, labels, close,
		 sum_us / 1000000, (int)(sum_us % 1000000));
	buf_addf(out, "%s_count%s%.*s%s %" PRIu64 "\n", name, open, last, labels, close, n);
}

static void put_requests(struct buf *out, const struct metrics *m)
{
	static const char *const total = "holdfast_http_requests_total";
	static const char *const latency = "holdfast_http_request_duration_seconds";
	char labels[LABELS_MAX];

	put_head(out, total, "counter", "Requests answered, by kind of route and class of status.");
	for (int route = 0; route < METRICS_ROUTES; route++) {
		for (int class = 0; class < METRICS_CLASSES; class ++)
			buf_addf(out, "%s{route=\"%s\",code=\"%s\"} %" PRIu64 "\n", total,
				 route_name[route], class_name[class],
				 (uint64_t)m->requests[route][class]);
	}
	put_head(out, latency, "histogram",
		 "From the request's arrival in a worker to its answer, waiting included.");
	for (int route = 0; route < METRICS_ROUTES; route++) {
		(void)snprintf(labels, sizeof labels, "route=\"%s\",", route_name[route]);
		put_buckets(out, latency, labels, &m->latency[route]);
	}
	put(out, "holdfast_http_requests_dropped_total", "counter",
	    "Requests whose client had gone before they were run.", m->counts[METRICS_DROPPED]);
	put(out, "holdfast_http_writes_total", "counter", "Requests that have committed something.",
	    m->counts[METRICS_WRITES]);
}

static void put_failures(struct buf *out, const char *name, const char *help,
			 const struct metrics *m, enum metrics_job first, enum metrics_job last)
{
	put_head(out, name, "counter", help);
	for (int reason = ERROR_NONE + 1; reason < ERROR_COUNT; reason++) {
		uint64_t n = 0;
		for (int job = (int)first; job <= (int)last; job++)
			n += m->jobs[job].failures[reason];
		put_labelled(out, name, "reason", object_error_name[reason], n);
	}
}

static void put_pushes(struct buf *out, const struct metrics *m)
{
	put(out, "holdfast_pushes_total", "counter", "Objects of changed pages that were stored.",
	    m->jobs[METRICS_PUSH].done);
	put_failures(out, "holdfast_push_failures_total", "Attempts to push that failed.", m,
		     METRICS_PUSH, METRICS_PUSH);
	put_head(out, "holdfast_push_duration_seconds", "histogram",
		 "From reading the changes to the store's answer, of pushes that were stored.");
	put_buckets(out, "holdfast_push_duration_seconds", "", &m->jobs[METRICS_PUSH].duration);
}

static void put_pulls(struct buf *out, const struct metrics *m)
{
	put(out, "holdfast_pulls_total", "counter", "Databases brought here from the store.",
	    m->jobs[METRICS_PULL].done);
	put_failures(out, "holdfast_pull_failures_total", "Pulls that failed.", m, METRICS_PULL,
		     METRICS_PULL);
	put_head(out, "holdfast_pull_duration_seconds", "histogram",
		 "How long the pulls took that succeeded.");
	put_buckets(out, "holdfast_pull_duration_seconds", "", &m->jobs[METRICS_PULL].duration);
}

static void put_uploads(struct buf *out, const struct metrics *m)
{
	static const char *const made = "holdfast_compactions_total";
	static const char *const bytes = "holdfast_uploaded_bytes_total";

	put_head(out, made, "counter", "Snapshots and merged objects that were stored.");
	put_labelled(out, made, "kind", "snapshot", m->jobs[METRICS_SNAPSHOT].done);
	put_labelled(out, made, "kind", "merge", m->jobs[METRICS_MERGE].done);
	put_failures(out, "holdfast_compaction_failures_total",
		     "Snapshots, merges and removals that failed; nothing depends on them.", m,
		     METRICS_SNAPSHOT, METRICS_MERGE);
	put_head(out, bytes, "counter", "Bytes of the objects that were stored.");
	put_labelled(out, bytes, "kind", "push", m->jobs[METRICS_PUSH].bytes);
	put_labelled(out, bytes, "kind", "snapshot", m->jobs[METRICS_SNAPSHOT].bytes);
	put_labelled(out, bytes, "kind", "merge", m->jobs[METRICS_MERGE].bytes);
}

/* At most once a second in each worker, however often somebody asks. */
static const struct census *recent_census(struct service *s)
{
	int64_t now_ms = clock_mono_ms();

	if (s->census_ms == 0 || now_ms - s->census_ms >= CENSUS_MS) {
		census_take(s->table, &s->census);
		s->census_ms = now_ms;
	}
	return &s->census;
}

static void put_users(struct buf *out, const struct census *c)
{
	put_head(out, "holdfast_users", "gauge",
		 "Users that were active or in doubt since the start, by where they stand.");
	for (int status = 0; status < SYNC_STATUSES; status++)
		put_labelled(out, "holdfast_users", "status", sync_status_name[status],
			     c->users[status]);
	put_head(out, "holdfast_failed_users", "gauge", "Failed users, by their latest error.");
	for (int reason = ERROR_NONE + 1; reason < ERROR_COUNT; reason++)
		put_labelled(out, "holdfast_failed_users", "reason", object_error_name[reason],
			     c->flagged[reason]);
	put_seconds(out, "holdfast_oldest_unsynced_age_seconds",
		    "How long the oldest commit has been waiting for the store; 0: none is.",
		    c->oldest_unsynced_ms);
	put_seconds(out, "holdfast_oldest_failed_age_seconds",
		    "How long a user has been failed, at most; 0: none is.", c->oldest_failed_ms);
	put(out, "holdfast_wal_bytes", "gauge",
	    "What the users' WALs hold since their last checkpoint.", c->wal_bytes);
	put(out, "holdfast_spool_bytes", "gauge",
	    "What waits in files for the store because an outage is long.", c->spool_bytes);
}

static void put_busy(struct buf *out, const struct table *t)
{
	static const char *const name = "holdfast_jobs_in_progress";
	struct table_busy busy;

	table_busy(t, &busy);
	put_head(out, name, "gauge", "What is under way between this host and the store.");
	put_labelled(out, name, "job", "push", busy.pushes);
	put_labelled(out, name, "job", "pull", busy.pulls);
	put_labelled(out, name, "job", "compaction", busy.compactions);
	put(out, "holdfast_store_down", "gauge",
	    "1 while the store answers nobody and many users wait for it.",
	    table_store(t)->down_since_ms != 0);
	put(out, "holdfast_store_gaps_total", "counter",
	    "Users whose objects were found to be missing.", table_store(t)->gaps);
}

static void put_pool(struct buf *out, const struct table *t)
{
	const struct metrics *m = table_metrics(t);
	uint64_t alive = 0, starts = 0;
	struct worker_word w;

	for (unsigned worker = 0; worker < TABLE_WORKERS_MAX; worker++) {
		bool lives = table_worker_get(t, worker, &w);
		alive += lives;
		starts += w.epoch + (lives ? 1u : 0u);
	}
	put(out, "holdfast_workers", "gauge", "Worker processes.", alive);
	put(out, "holdfast_worker_starts_total", "counter", "Worker processes ever started.",
	    starts);
	put(out, "holdfast_worker_deaths_total", "counter", "Worker processes that ended unasked.",
	    m->counts[METRICS_DEATHS]);
	put_head(out, "holdfast_reloads_total", "counter", "Reloads, by what came of them.");
	put_labelled(out, "holdfast_reloads_total", "result", "done", m->counts[METRICS_RELOADS]);
	put_labelled(out, "holdfast_reloads_total", "result", "refused",
		     m->counts[METRICS_RELOADS_REFUSED]);
	put_head(out, "holdfast_build_info", "gauge", "Of the program that answers; always 1.");
	put_labelled(out, "holdfast_build_info", "version", HOLDFAST_VERSION, 1);
	put_seconds(out, "process_start_time_seconds",
		    "When the counters began, since the Unix epoch.", m->started_ms);
}

enum served serve_metrics(struct service *s, struct exchange *x)
{
	struct buf *out = &x->response.body;
	const struct metrics *m = table_metrics(s->table);

	x->response.content_type = "text/plain; version=0.0.4; charset=utf-8";
	put_requests(out, m);
	put_pushes(out, m);
	put_pulls(out, m);
	put_uploads(out, m);
	put_users(out, recent_census(s));
	put_busy(out, s->table);
	put_pool(out, s->table);
	return SERVE_DONE;
}
