/*
 * What Prometheus scrapes: the pool's counters and where its users stand, in
 * the text format 0.0.4, by whichever worker is asked.  Nothing in it names a
 * user.  nginx keeps it from the world.
 */
#ifndef HTTP_API_METRICS_H
#define HTTP_API_METRICS_H

#include "http/user_route.h"

route_handler serve_metrics; /* GET /metrics */

#endif
