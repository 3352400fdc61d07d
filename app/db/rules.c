#include "db/rules.h"

#include <stddef.h>
#include <strings.h>

static const struct {
	const char *name;
	enum pragma_right right;
} pragmas[] = {
	{ "activate_extensions", PRAGMA_DENIED },
	{ "analysis_limit", PRAGMA_DENIED },
	{ "application_id", PRAGMA_STORED },
	{ "auto_vacuum", PRAGMA_STORED_SETTING },
	{ "automatic_index", PRAGMA_DENIED },
	{ "busy_timeout", PRAGMA_DENIED },
	{ "cache_size", PRAGMA_ASK },
	{ "cache_spill", PRAGMA_DENIED },
	{ "case_sensitive_like", PRAGMA_SETTING },
	{ "cell_size_check", PRAGMA_DENIED },
	{ "checkpoint_fullfsync", PRAGMA_DENIED },
	{ "collation_list", PRAGMA_ASK },
	{ "compile_options", PRAGMA_ASK },
	{ "count_changes", PRAGMA_DENIED },
	{ "data_store_directory", PRAGMA_DENIED },
	{ "data_version", PRAGMA_ASK },
	{ "database_list", PRAGMA_DENIED }, /* tells where the file is */
	{ "default_cache_size", PRAGMA_DENIED },
	{ "defer_foreign_keys", PRAGMA_SETTING },
	{ "empty_result_callbacks", PRAGMA_DENIED },
	{ "encoding", PRAGMA_ASK },
	{ "foreign_key_check", PRAGMA_ASK_ABOUT },
	{ "foreign_key_list", PRAGMA_ASK_ABOUT },
	{ "foreign_keys", PRAGMA_SETTING },
	{ "freelist_count", PRAGMA_ASK },
	{ "full_column_names", PRAGMA_DENIED },
	{ "fullfsync", PRAGMA_DENIED },
	{ "function_list", PRAGMA_ASK },
	{ "hard_heap_limit", PRAGMA_DENIED },
	{ "hexkey", PRAGMA_DENIED },
	{ "hexrekey", PRAGMA_DENIED },
	{ "ignore_check_constraints", PRAGMA_DENIED },
	{ "incremental_vacuum", PRAGMA_WORK },
	{ "index_info", PRAGMA_ASK_ABOUT },
	{ "index_list", PRAGMA_ASK_ABOUT },
	{ "index_xinfo", PRAGMA_ASK_ABOUT },
	{ "integrity_check", PRAGMA_ASK_ABOUT },
	{ "journal_mode", PRAGMA_ASK },
	{ "journal_size_limit", PRAGMA_DENIED },
	{ "key", PRAGMA_DENIED },
	{ "legacy_alter_table", PRAGMA_DENIED },
	{ "legacy_file_format", PRAGMA_DENIED },
	{ "lock_proxy_file", PRAGMA_DENIED },
	{ "lock_status", PRAGMA_DENIED },
	{ "locking_mode", PRAGMA_DENIED },
	{ "max_page_count", PRAGMA_ASK },
	{ "mmap_size", PRAGMA_DENIED },
	{ "module_list", PRAGMA_DENIED },
	{ "optimize", PRAGMA_WORK },
	{ "page_count", PRAGMA_ASK },
	{ "page_size", PRAGMA_ASK },
	{ "parser_trace", PRAGMA_DENIED },
	{ "pragma_list", PRAGMA_DENIED },
	{ "query_only", PRAGMA_DENIED }, /* a reading token rests on it */
	{ "quick_check", PRAGMA_ASK_ABOUT },
	{ "read_uncommitted", PRAGMA_DENIED },
	{ "recursive_triggers", PRAGMA_SETTING },
	{ "rekey", PRAGMA_DENIED },
	{ "reverse_unordered_selects", PRAGMA_DENIED },
	{ "schema_version", PRAGMA_DENIED },
	{ "secure_delete", PRAGMA_DENIED },
	{ "short_column_names", PRAGMA_DENIED },
	{ "shrink_memory", PRAGMA_DENIED },
	{ "soft_heap_limit", PRAGMA_DENIED },
	{ "sql_trace", PRAGMA_DENIED },
	{ "stats", PRAGMA_DENIED },
	{ "synchronous", PRAGMA_ASK },
	{ "table_info", PRAGMA_ASK_ABOUT },
	{ "table_list", PRAGMA_ASK_ABOUT },
	{ "table_xinfo", PRAGMA_ASK_ABOUT },
	{ "temp_store", PRAGMA_DENIED },
	{ "temp_store_directory", PRAGMA_DENIED },
	{ "textkey", PRAGMA_DENIED },
	{ "textrekey", PRAGMA_DENIED },
	{ "threads", PRAGMA_DENIED },
	{ "trusted_schema", PRAGMA_DENIED },
	{ "user_version", PRAGMA_STORED },
	{ "vdbe_addoptrace", PRAGMA_DENIED },
	{ "vdbe_debug", PRAGMA_DENIED },
	{ "vdbe_eqp", PRAGMA_DENIED },
	{ "vdbe_listing", PRAGMA_DENIED },
	{ "vdbe_trace", PRAGMA_DENIED },
	{ "wal_autocheckpoint", PRAGMA_DENIED },
	{ "wal_checkpoint", PRAGMA_DENIED },
	{ "writable_schema", PRAGMA_DENIED },
};

/* FTS3's optimize() merges its index. */
static const char *const writing_functions[] = { "optimize", NULL };

static const char *const denied_functions[] = {
	"edit",
	"fts3_tokenizer", /* hands out and takes pointers */
	"fts5", /* takes one */
	"icu_load_collation",
	"load_extension",
	"readfile",
	"regexp", /* ICU's goes back and forth */
	"sqlite_log",
	"sqlite_offset",
	"writefile",
	NULL,
};

static const char *const allowed_functions[] = {
	/* numbers and text */
	"abs",
	"char",
	"coalesce",
	"concat",
	"concat_ws",
	"format",
	"glob",
	"hex",
	"if",
	"ifnull",
	"iif",
	"instr",
	"length",
	"like",
	"likelihood",
	"likely",
	"lower",
	"ltrim",
	"max",
	"min",
	"nullif",
	"octet_length",
	"printf",
	"quote",
	"random",
	"randomblob",
	"replace",
	"round",
	"rtrim",
	"sign",
	"soundex",
	"substr",
	"substring",
	"subtype",
	"trim",
	"typeof",
	"unhex",
	"unicode",
	"unistr",
	"unistr_quote",
	"unlikely",
	"upper",
	"zeroblob",
	/* the connection and the library */
	"changes",
	"last_insert_rowid",
	"sqlite_compileoption_get",
	"sqlite_compileoption_used",
	"sqlite_source_id",
	"sqlite_version",
	"total_changes",
	/* aggregates and windows */
	"avg",
	"count",
	"cume_dist",
	"dense_rank",
	"first_value",
	"group_concat",
	"lag",
	"last_value",
	"lead",
	"median",
	"nth_value",
	"ntile",
	"percent_rank",
	"percentile",
	"percentile_cont",
	"percentile_disc",
	"rank",
	"row_number",
	"string_agg",
	"sum",
	"total",
	/* time */
	"current_date",
	"current_time",
	"current_timestamp",
	"date",
	"datetime",
	"julianday",
	"strftime",
	"time",
	"timediff",
	"unixepoch",
	/* mathematics */
	"acos",
	"acosh",
	"asin",
	"asinh",
	"atan",
	"atan2",
	"atanh",
	"ceil",
	"ceiling",
	"cos",
	"cosh",
	"degrees",
	"exp",
	"floor",
	"ln",
	"log",
	"log10",
	"log2",
	"mod",
	"pi",
	"pow",
	"power",
	"radians",
	"sin",
	"sinh",
	"sqrt",
	"tan",
	"tanh",
	"trunc",
	/* JSON */
	"->",
	"->>",
	"json",
	"json_array",
	"json_array_insert",
	"json_array_length",
	"json_error_position",
	"json_extract",
	"json_group_array",
	"json_group_object",
	"json_insert",
	"json_object",
	"json_patch",
	"json_pretty",
	"json_quote",
	"json_remove",
	"json_replace",
	"json_set",
	"json_type",
	"json_valid",
	"jsonb",
	"jsonb_array",
	"jsonb_array_insert",
	"jsonb_extract",
	"jsonb_group_array",
	"jsonb_group_object",
	"jsonb_insert",
	"jsonb_object",
	"jsonb_patch",
	"jsonb_remove",
	"jsonb_replace",
	"jsonb_set",
	/* full text, R*Tree, polygons */
	"bm25",
	"fts5_get_locale",
	"fts5_insttoken",
	"fts5_locale",
	"fts5_source_id",
	"highlight",
	"match",
	"matchinfo",
	"offsets",
	"snippet",
	"geopoly_area",
	"geopoly_bbox",
	"geopoly_blob",
	"geopoly_ccw",
	"geopoly_contains_point",
	"geopoly_debug",
	"geopoly_group_bbox",
	"geopoly_json",
	"geopoly_overlap",
	"geopoly_regular",
	"geopoly_svg",
	"geopoly_within",
	"geopoly_xform",
	"rtreecheck",
	"rtreedepth",
	"rtreenode",
	/* ALTER TABLE's own; SQLite lets no user call them */
	"sqlite_drop_column",
	"sqlite_fail",
	"sqlite_rename_column",
	"sqlite_rename_quotefix",
	"sqlite_rename_table",
	"sqlite_rename_test",
	NULL,
};

const char *rules_modules[] = {
	"fts3",	     "fts3tokenize", "fts4",	   "fts4aux",	 "fts5",  "fts5vocab", "geopoly",
	"json_each", "json_tree",    "jsonb_each", "jsonb_tree", "rtree", "rtree_i32", NULL,
};

/* These look at pages, or at what a connection does. */
static const char *const denied_modules[] = {
	"bytecode",	"dbstat",      "sqlite_dbdata", "sqlite_dbpage",
	"sqlite_dbptr", "sqlite_stmt", "tables_used",	NULL,
};

static bool contains(const char *const *names, const char *name)
{
	for (; *names != NULL; names++)
		if (strcasecmp(*names, name) == 0)
			return true;
	return false;
}

enum pragma_right rules_pragma(const char *name)
{
	for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++)
		if (strcasecmp(pragmas[i].name, name) == 0)
			return pragmas[i].right;
	return PRAGMA_DENIED;
}

enum function_right rules_function(const char *name)
{
	if (contains(writing_functions, name))
		return FUNCTION_WRITES;
	return contains(allowed_functions, name) ? FUNCTION_ALLOWED : FUNCTION_DENIED;
}

bool rules_name_pragma(const char *name)
{
	for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++)
		if (strcasecmp(pragmas[i].name, name) == 0)
			return true;
	return false;
}

bool rules_name_function(const char *name)
{
	return rules_function(name) != FUNCTION_DENIED || contains(denied_functions, name);
}

/* PRAGMAs as tables are judged as PRAGMAs. */
bool rules_name_module(const char *name)
{
	return contains(rules_modules, name) || contains(denied_modules, name) ||
	       (strncasecmp(name, "pragma_", 7) == 0 && rules_name_pragma(name + 7));
}
