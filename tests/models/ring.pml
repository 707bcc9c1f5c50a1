/*
 * catmem/ring.[ch] with its sleep protocol and the doorbell, on a machine that
 * is weaker than any it runs on. A producer sends M messages to a consumer over
 * N slots; both sleep whenever they cannot go on.
 *
 * Memory. Stores wait in a buffer of their process and reach memory in any order,
 * except that stores to one location stay in order, a release store waits for
 * all that are older, and a seq_cst load waits for the process's own seq_cst
 * stores. Loads happen in program order: what an acquire or release forbids a
 * load to do, and a compiler or processor would do without, is written out where
 * the ordering is taken away.
 *
 * -DWEAK_name takes away the ordering that has `ord:name` in the source,
 * -DWITHOUT_name a step of the protocol; -DREACH_sleep=p fails where p sleeps. A
 * lost wake-up is an invalid end state, a livelock a cycle without progress; the
 * rest is asserted.
 */
#ifndef N
#define N 2		/* slots */
#endif
#ifndef LAZY
#define LAZY 1		/* the consumer releases after so many, at most N */
#endif
#ifndef M
#define M 9		/* messages; more than WRAP, so that positions wrap */
#endif
#define WRAP 8		/* instead of 2^32 */
#define MINUS(a, b) (((a) + WRAP - (b)) % WRAP)
#define PLUS(a, b) (((a) + (b)) % WRAP)

#define P 0		/* the producer */
#define C 1		/* the consumer */

/* Locations. A message is two words, so that it can be torn. */
#define HEAD(i) (i)
#define DATA(i) (N + (i))
#define MORE(i) (2 * N + (i))
#define CONS (3 * N)
#define ORDER(p) (3 * N + 1 + (p))
#define FLAGS(p) (3 * N + 3 + (p))
byte mem[3 * N + 5];

bit bell[2];		/* an eventfd */
byte n_read;		/* messages that the consumer has read */

/* Store buffers, oldest first. */
#define K 6
typedef buffer {
	byte n;
	byte n_sc;	/* seq_cst stores among them */
	byte at[K];
	byte value[K];
	bit release[K];
	bit sc[K]
};
buffer buf[2];

#define PLAIN 0, 0
#define RELEASE 1, 0
#define SEQ_CST 1, 1

inline store(p, where, what, kind_release, kind_sc)
{
	atomic {
		buf[p].n < K ->
		d_step {
			buf[p].at[buf[p].n] = where;
			buf[p].value[buf[p].n] = what;
			buf[p].release[buf[p].n] = kind_release;
			buf[p].sc[buf[p].n] = kind_sc;
			buf[p].n_sc = buf[p].n_sc + kind_sc;
			buf[p].n++
		}
	}
}

/* A seq_cst load begins when this is true. */
#define drained(p) (buf[p].n_sc == 0)

#define is_data(where) ((where) >= DATA(0) && (where) < CONS)

inline flush(p, j)
{
	d_step {
		/* The message that was in the slot has been read. */
		assert(!is_data(buf[p].at[j]) || buf[p].value[j] <= N + n_read);
		mem[buf[p].at[j]] = buf[p].value[j];
		buf[p].n_sc = buf[p].n_sc - buf[p].sc[j];
		k = j;
		do
		:: k + 1 < buf[p].n ->
			buf[p].at[k] = buf[p].at[k + 1];
			buf[p].value[k] = buf[p].value[k + 1];
			buf[p].release[k] = buf[p].release[k + 1];
			buf[p].sc[k] = buf[p].sc[k + 1];
			k++
		:: else -> break
		od;
		buf[p].at[k] = 0;
		buf[p].value[k] = 0;
		buf[p].release[k] = 0;
		buf[p].sc[k] = 0;
		buf[p].n--;
		k = 0
	}
}

#define other_at(p, j, k) (buf[p].at[j] != buf[p].at[k])
#define may_pass(p, j) (j < buf[p].n && !buf[p].release[j] && other_at(p, j, 0))

proctype memory(byte p)
{
	byte k;

end:	do
	:: atomic { buf[p].n > 0 -> flush(p, 0) }
	:: atomic { may_pass(p, 1) -> flush(p, 1) }
	:: atomic { may_pass(p, 2) && other_at(p, 2, 1) -> flush(p, 2) }
	:: atomic { may_pass(p, 3) && other_at(p, 3, 1) && other_at(p, 3, 2) -> flush(p, 3) }
	:: atomic { may_pass(p, 4) && other_at(p, 4, 1) && other_at(p, 4, 2) &&
		    other_at(p, 4, 3) -> flush(p, 4) }
	:: atomic { may_pass(p, 5) && other_at(p, 5, 1) && other_at(p, 5, 2) &&
		    other_at(p, 5, 3) && other_at(p, 5, 4) -> flush(p, 5) }
	od
}

/* ring_must_wake(), and ringing the bell */
inline ask(p, q)
{
#ifdef WEAK_wake_order
	store(p, ORDER(p), 1, PLAIN);
#else
	store(p, ORDER(p), 1, SEQ_CST);
#endif
#ifndef WEAK_wake_flags
	drained(p);
#endif
	if
	:: mem[FLAGS(q)] -> bell[q] = 1
	:: else
	fi
}

/* ring_sleep() up to has_come() */
inline say_asleep(p)
{
#ifdef WEAK_sleep_flags
	store(p, FLAGS(p), 1, PLAIN);
#else
	store(p, FLAGS(p), 1, SEQ_CST);
#endif
#ifndef WEAK_sleep_order
	drained(p)
#endif
}

/* The rest of ring_sleep(), read() of the bell, ring_awake() */
inline sleep_unless(p, come)
{
	if
#ifndef WITHOUT_second_look
	:: come
#endif
	:: else ->
#ifdef REACH_sleep
		assert(p != REACH_sleep);
#endif
#ifndef WITHOUT_bell
		atomic { bell[p] -> bell[p] = 0 }
#endif
	fi;
	store(p, FLAGS(p), 0, PLAIN)
}

/* ring_find_space(): one load, the rest is private */
inline find_space()
{
	d_step {
		assert(MINUS(mem[CONS], MINUS(limit, N)) <= MINUS(prod, MINUS(limit, N)));
		limit = PLUS(mem[CONS], N)
	}
}

inline fill(slot, i)
{
	store(P, DATA(slot), i + 1, PLAIN);
	store(P, MORE(slot), i + 1, PLAIN)
}

proctype producer()
{
	byte i, prod, at;
	byte limit = N;
	bit filled, asks;

	do
	:: i == M -> break
	:: else ->
#ifdef WEAK_space
		/* without the acquire, the slot may be written before the load */
		if
		:: fill(at, i); filled = 1
		:: skip
		fi;
#endif
		/* ring_reserve() */
		do
		:: prod != limit -> break
		:: else ->
			find_space();
			if
			:: prod != limit
			:: else ->
				if
				:: asks -> ask(P, C); asks = 0
				:: else
				fi;
				say_asleep(P);
				find_space();
				sleep_unless(P, prod != limit)
			fi
		od;
		if
		:: !filled -> fill(at, i)
		:: else -> filled = 0
		fi;
		/* ring_publish() */
#ifdef WEAK_publish
		store(P, HEAD(at), PLUS(prod, 1), PLAIN);
#else
		store(P, HEAD(at), PLUS(prod, 1), RELEASE);
#endif
		d_step {
			i++;
			prod = PLUS(prod, 1);
			at = (at + 1) % N
		};
		/* one question after any number of messages */
		if
		:: ask(P, C); asks = 0
		:: asks = 1
		fi
	od;
	if
	:: asks -> ask(P, C); asks = 0
	:: else
	fi
}

inline read_slot(slot)
{
	d = mem[DATA(slot)];
	e = mem[MORE(slot)]
}

/* Message i, whole and in its turn. */
inline check_message(i)
{
	d_step {
		assert(d == i + 1 && e == i + 1);
		n_read++;
		d = 0;
		e = 0
	}
}

#define expected PLUS(cons, 1)
#define stale (lapped -> MINUS(PLUS(cons, 1), N) : 0)

inline advance()
{
	d_step {
		i++;
		cons = PLUS(cons, 1);
		at = (at + 1) % N;
		lapped = lapped || at == 0
	};
	if
	:: MINUS(cons, published) < LAZY
	:: else ->
		published = cons;
#ifdef WEAK_release
		store(C, CONS, cons, PLAIN);
#else
		store(C, CONS, cons, RELEASE);
#endif
		if
		:: ask(C, P); asks = 0
		:: asks = 1
		fi
	fi
}

proctype consumer()
{
	byte i, cons, published, at, d, e;
	bit lapped, asks, loaded;

	do
	:: i == M -> break
	:: else ->
#ifdef WEAK_peek
		/* without the acquire, the data may be loaded before the head */
		if
		:: read_slot(at); loaded = 1
		:: skip
		fi;
#endif
		/* ring_peek() */
		do
		:: mem[HEAD(at)] == expected -> break
		:: else ->
			/* nothing that ring_peek() would call EPROTO */
			assert(mem[HEAD(at)] == stale || mem[HEAD(at)] == expected);
			if
			:: asks -> ask(C, P); asks = 0
			:: else
			fi;
			say_asleep(C);
			sleep_unless(C, mem[HEAD(at)] == expected)
		od;
		if
		:: !loaded -> skip
#ifdef WEAK_release
		/* without the release, the data may be loaded after the store */
		:: !loaded ->
			advance();
			read_slot((at + N - 1) % N);
			check_message(i - 1);
			goto next
#endif
		:: else -> goto check
		fi;
		read_slot(at);
check:		loaded = 0;
		check_message(i);
progress:	advance();
next:		skip
	od;
	if
	:: asks -> ask(C, P); asks = 0
	:: else
	fi
}

init
{
	atomic {
		run memory(P);
		run memory(C);
		run producer();
		run consumer()
	}
}
