/*
 * The version, in this line alone: the program says it, and the Makefile gives it to
 * the package.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define HOLDFAST_VERSION "0.9.0"

#endif
