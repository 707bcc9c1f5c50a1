#!/bin/sh
# The source keeps to the tables of scripts/check-includes, and a tree that
# breaks a rule is found out.
set -eu
check=$top_srcdir/scripts/check-includes
"$check" "$top_srcdir"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# broken FILE INCLUDE: this one line is refused; fine: it is not.
try()
{
	rm -rf "${tree:?}"/*
	mkdir -p "$tree/$(dirname "$1")" "$tree/base"
	echo '#include <stddef.h>' >"$tree/base/other.h"
	printf '#include "config.h"\n#include <stdio.h>\n%s\n' "$2" >"$tree/$1"
	"$check" "$tree" >"$tree/out" 2>&1
}
broken()
{
	if try "$1" "$2"; then
		echo "not refused: $2 in $1"
		exit 1
	fi
	grep -q "$1" "$tree/out"
}
fine()
{
	try "$1" "$2" || { cat "$tree/out"; exit 1; }
}
broken base/a.c '#include "libos/op.h"'
broken libos/a.c '#include "catnap/catnap.h"'
broken catnap/a.c '#include "catmem/catmem.h"'
broken catnap/a.h '# include "api/call.h"'
broken apps/a.c '#include "libos/op.h"'
broken bench/a.c '#include "base/list.h"'
broken libos/a.c '#include "op.h"'
broken libos/a.c '#include "../catnap/catnap.h"'
broken libos/a.c '	#	include <rte_mbuf.h>'
broken catnip/a.c '#include <infiniband/verbs.h>'
broken catmint/a.c '#include <rdma/fabric.h>'
broken catmem/a.c '#include <liburing.h>'
broken apps/a.c '#include HEADER'
fine base/a.c '#include "base/list.h"'
fine api/a.c '#include "libos/op.h"'
fine catnip/a.c '#include <rte_mbuf.h>'
fine catnip/a.c '#include "net/tcp.h"'
fine catmint/a.c '#include <rdma/rdma_cma.h>'
fine apps/a.c '#include <demi/libos.h>'
fine bench/floors/a.c '#include "libos/op.h"'
fine bench/floors/a.c '#include <rte_mbuf.h>'
