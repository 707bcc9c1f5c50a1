/* The threads of ring_pair.c alone, for ring_tsan.sh: `ring_tsan [sleeping]`. */
#include "config.h"

#include "tests/unit/ring_pair.h"

int main(int argc, char **argv)
{
	(void)argv;
	ring_pair_exchange(31, 30000, argc > 1);
	return 0;
}
