#include "base/rfc3339.h"

#include <ctype.h>
#include <stdbool.h>
#include <time.h>

static bool take_number(const char **p, int digits, int *out)
{
	*out = 0;
	for (; digits > 0; digits--, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return true;
}

static bool take_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static bool take_date(const char **p, struct tm *out)
{
	if (!take_number(p, 4, &out->tm_year) || !take_char(p, '-') ||
	    !take_number(p, 2, &out->tm_mon) || !take_char(p, '-') ||
	    !take_number(p, 2, &out->tm_mday))
		return false;
	out->tm_year -= 1900;
	out->tm_mon -= 1;
	return true;
}

static bool take_time(const char **p, struct tm *out)
{
	return take_number(p, 2, &out->tm_hour) && take_char(p, ':') &&
	       take_number(p, 2, &out->tm_min) && take_char(p, ':') &&
	       take_number(p, 2, &out->tm_sec);
}

/* Digits after the third are cut off, so what is asked for is never later than meant. */
static bool take_fraction(const char **p, int *ms)
{
	int digits = 0;

	*ms = 0;
	if (!take_char(p, '.'))
		return true;
	for (; isdigit((unsigned char)**p); (*p)++, digits++) {
		if (digits < 3)
			*ms = *ms * 10 + (**p - '0');
	}
	for (int i = digits; i < 3; i++)
		*ms *= 10;
	return digits > 0;
}

static bool take_offset(const char **p, int *minutes)
{
	int hour, minute;
	bool west = **p == '-';

	*minutes = 0;
	if (take_char(p, 'Z') || take_char(p, 'z'))
		return true;
	if (!take_char(p, west ? '-' : '+') || !take_number(p, 2, &hour) || !take_char(p, ':') ||
	    !take_number(p, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*minutes = (hour * 60 + minute) * (west ? -1 : 1);
	return true;
}

/* timegm() takes the 31st of February for the 3rd of March. */
static bool is_of_the_calendar(const struct tm *asked, time_t seconds)
{
	struct tm real;

	return gmtime_r(&seconds, &real) != NULL && real.tm_mday == asked->tm_mday &&
	       real.tm_mon == asked->tm_mon && real.tm_year == asked->tm_year &&
	       real.tm_hour == asked->tm_hour && real.tm_min == asked->tm_min &&
	       real.tm_sec == asked->tm_sec;
}

int rfc3339_parse(const char *text, int64_t *out)
{
	struct tm asked = { 0 };
	int ms, minutes = 0;

	if (!take_date(&text, &asked))
		return -1;
	bool spaced = take_char(&text, ' ');
	if (!spaced && !take_char(&text, 'T') && !take_char(&text, 't'))
		return -1;
	if (!take_time(&text, &asked) || !take_fraction(&text, &ms))
		return -1;
	if (!(spaced && *text == '\0') && !take_offset(&text, &minutes))
		return -1;
	/* timegm() may normalise what it is given. */
	struct tm normal = asked;
	time_t seconds = timegm(&normal);
	if (*text != '\0' || !is_of_the_calendar(&asked, seconds))
		return -1;
	*out = ((int64_t)seconds - (int64_t)minutes * 60) * 1000 + ms;
	return 0;
}
