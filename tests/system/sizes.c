/*
 * The layouts that a program written for the original API relies on: packed,
 * with M = DEMI_SGARRAY_MAXSIZE segments. Compiles as C11 and as C++11.
 */
#include <demi/ext.h>
#include <demi/libos.h>
#include <demi/stat.h>

#ifndef __cplusplus
#define static_assert _Static_assert
#endif
#define M DEMI_SGARRAY_MAXSIZE
#define AT(type, member, offset) \
	static_assert(offsetof(type, member) == (offset), #type "." #member)
#define SIZE(type, size) static_assert(sizeof(type) == (size), #type)

static_assert(M == 4, "segments");

SIZE(demi_qtoken_t, 8);
SIZE(demi_sgaseg_t, 12);
AT(demi_sgaseg_t, sgaseg_buf, 0);
AT(demi_sgaseg_t, sgaseg_len, 8);

SIZE(demi_sgarray_t, 28 + 12 * M);
AT(demi_sgarray_t, sga_buf, 0);
AT(demi_sgarray_t, sga_numsegs, 8);
AT(demi_sgarray_t, sga_segs, 12);
AT(demi_sgarray_t, sga_addr, 12 + 12 * M);

SIZE(demi_accept_result_t, 20);
AT(demi_accept_result_t, qd, 0);
AT(demi_accept_result_t, addr, 4);

SIZE(demi_qresult_t, 24 + sizeof(demi_sgarray_t));
AT(demi_qresult_t, qr_opcode, 0);
AT(demi_qresult_t, qr_qd, 4);
AT(demi_qresult_t, qr_qt, 8);
AT(demi_qresult_t, qr_ret, 16);
AT(demi_qresult_t, qr_value, 24);

SIZE(struct demi_args, 20);
AT(struct demi_args, argc, 0);
AT(struct demi_args, argv, 4);
AT(struct demi_args, callback, 12);

static_assert(DEMI_OPC_INVALID == 0 && DEMI_OPC_PUSH == 1 && DEMI_OPC_POP == 2 &&
	      DEMI_OPC_ACCEPT == 3 && DEMI_OPC_CONNECT == 4 && DEMI_OPC_CLOSE == 5 &&
	      DEMI_OPC_FAILED == 6, "opcodes");
SIZE(enum demi_opcode, 4);

SIZE(struct demi_stat_entry, 56);
AT(struct demi_stat_header, magic, 0);
AT(struct demi_stat_header, entries_offset, 32);

int main(void)
{
	return 0;
}
