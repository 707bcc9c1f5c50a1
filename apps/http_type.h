/* Media types. */
#ifndef APPS_HTTP_TYPE_H
#define APPS_HTTP_TYPE_H

/* By the name's extension; application/octet-stream where that says nothing. */
const char *http_type_of(const char *path);

#endif /* APPS_HTTP_TYPE_H */
