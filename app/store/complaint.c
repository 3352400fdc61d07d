#include "store/complaint.h"

bool complaint_is_due(struct complaint *c, int64_t now_ms, unsigned *untold)
{
	if (c->told_at_ms != 0 && now_ms - c->told_at_ms < COMPLAINT_EVERY_MS) {
		c->untold++;
		return false;
	}
	*untold = c->untold;
	*c = (struct complaint){ .told_at_ms = now_ms };
	return true;
}
