# CLOWDER_BACKEND(NAME, WHAT, [PKG-CONFIG MODULES])
# A backend is a folder, a make fragment and --with-NAME=yes|no|auto. Asked for
# but impossible to build is an error; auto builds it where it can be built.
AC_DEFUN([CLOWDER_BACKEND], [
AC_ARG_WITH([$1],
	[AS_HELP_STRING([--with-$1=yes|no|auto], [$2 @<:@auto@:>@])],
	[], [with_$1=auto])
m4_ifval([$3], [
AS_IF([test "x$with_$1" != xno], [
	PKG_CHECK_MODULES(m4_toupper([$1]), [$3], [found_$1=yes], [found_$1=no])
])], [found_$1=yes])
AS_CASE([$with_$1:$found_$1],
	[no:*], [],
	[yes:no], [AC_MSG_ERROR([--with-$1: not found: $3])],
	[yes:yes|auto:*], [with_$1=$found_$1],
	[AC_MSG_ERROR([--with-$1 takes yes, no or auto, not "$with_$1"])])
AS_IF([test "$with_$1" = yes],
	[AC_DEFINE([WITH_]m4_toupper([$1]), [1], [Backend $1: $2])])
AM_CONDITIONAL([WITH_]m4_toupper([$1]), [test "$with_$1" = yes])
])
