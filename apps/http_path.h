/* The path in a request's target (RFC 3986), as a name below the root, and back. */
#ifndef APPS_HTTP_PATH_H
#define APPS_HTTP_PATH_H

#include "apps/http_text.h"

#define HTTP_PATH_ROOM 4200u	/* for the longest target, and an index.html */

/*
 * Percent-decodes, takes "." and ".." out, and puts the name of the index where the
 * path ends with a slash. path_out has HTTP_PATH_ROOM bytes. 0, or the status: 400
 * for an escape that is none, a NUL, a path that leads above the root; 404 for one
 * that no file can have.
 */
int http_path_decode(char *path_out, struct http_text target);
/* "/path/", percent-encoded, for the directory of that name; at most 3 bytes for one
 * of the path, and 3 more. Says how many. */
size_t http_path_encode_dir(char *out, const char *path);

#endif /* APPS_HTTP_PATH_H */
