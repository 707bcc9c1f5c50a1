/* demi_init by a library that holds one backend; exit status: the errno. */
#include <demi/ext.h>
#include <demi/libos.h>

int main(void)
{
	int err = demi_init(NULL);

	return err ? err : demi_fini();
}
