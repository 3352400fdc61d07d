/*
 * What is answered without knowing who asks.
 */
#ifndef HTTP_API_HEALTH_H
#define HTTP_API_HEALTH_H

#include "http/user_route.h"

route_handler serve_health; /* GET /healthz: a worker answers */
route_handler serve_ready; /* GET /readyz: and could serve a user's request now */
route_handler serve_greeting; /* GET /v2, /v3: clients probe these for the protocol's versions */

#endif
