/*
 * The store behind file:, objects as files below a folder.
 *
 * The folder is made when it is not there.  Processes may share it.
 */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include "store/object.h"

struct store *dir_new(const char *path, char *why, size_t why_size);

#endif
