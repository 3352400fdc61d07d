#!/bin/bash
# What the compiler and the linker were told for safety is in the program: PIE, full
# RELRO, no executable or writable code, stack protector, checked libc calls, marked
# targets of jumps.  Prints one line per thing that is missing.
#
#	hardened.sh PROGRAM
#
# CFI is what -fcf-protection marks; the processor enforces it only where the
# distribution's start files are marked, too.
set -euo pipefail

program=$1
bad=0
segments=$(readelf -lW "$program")
dynamic=$(readelf -dW "$program")
symbols=$(readelf --dyn-syms -W "$program")

# want NAME REGEX TEXT
want() {
	grep -qE "$2" <<<"$3" || {
		echo "$program: no $1"
		bad=1
	}
}

# want_none NAME REGEX TEXT
want_none() {
	! grep -qE "$2" <<<"$3" || {
		echo "$program: $1"
		bad=1
	}
}

want "PIE" 'Flags:.* PIE' "$dynamic"
want "BIND_NOW" 'BIND_NOW' "$dynamic"
want "RELRO" 'GNU_RELRO' "$segments"
want "stack that is not executable" 'GNU_STACK.* RW  ' "$segments"
want_none "a segment is writable and executable" 'LOAD.* RWE ' "$segments"
want_none "the code is relocated" 'TEXTREL' "$dynamic"
want_none "libraries come from a path of its own" 'RPATH|RUNPATH' "$dynamic"
want "stack protector" '__stack_chk_fail' "$symbols"
want "checked libc calls" '__(snprintf|vsnprintf|memcpy|read)_chk' "$symbols"
case $(uname -m) in
x86_64) want "marked target of jumps in main" 'endbr64' \
	"$(objdump -d --disassemble=main "$program")" ;;
esac
exit "$bad"
