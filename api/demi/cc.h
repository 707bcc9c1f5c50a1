/*
 * Compiler attributes used by the other headers. Programs written for the
 * original API may use the ATTR_ names; we never put ATTR_NONNULL on a call of
 * ours, because a NULL argument is an error that is reported, not undefined.
 */
#ifndef DEMI_CC_H
#define DEMI_CC_H

#if defined(__GNUC__) || defined(__clang__)
#define ATTR_NODISCARD __attribute__((__warn_unused_result__))
#define ATTR_NONNULL(...) __attribute__((__nonnull__(__VA_ARGS__)))
#define ATTR_PACKED __attribute__((__packed__))
#define DEMI_EXPORT __attribute__((__visibility__("default")))
#else
#define ATTR_NODISCARD
#define ATTR_NONNULL(...)
#define ATTR_PACKED
#define DEMI_EXPORT
#endif

#endif /* DEMI_CC_H */
