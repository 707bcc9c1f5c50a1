/* Exit status 1 if io_uring, which CLOWDER_CATNAP_IO asks for, cannot be had here:
 * demi_init says why. Anything else that fails is for the suite to find. */
#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>

int main(void)
{
	int err = demi_init(NULL);

	return err ? err == ENOTSUP : demi_fini() != 0;
}
