# Every mutant of the C files given, one a line, TABs between: file, line, column,
# length, what takes its place, and the line with "[old => new]" in it. For
# tests/sim/mutate. Comments, strings, assertions and the preprocessor are left alone.

function op(old, new) {
	olds[++n_ops] = old
	news[n_ops] = new
}

function both(a, b) {
	op(a, b)
	op(b, a)
}

BEGIN {
	both("seq_lt(", "seq_leq(")
	both("seq_gt(", "seq_geq(")
	both(" < ", " <= ")
	both(" > ", " >= ")
	both(" == ", " != ")
	both(" && ", " || ")
	both(" += ", " -= ")
	op(" + 1", " + 0")
	op(" - 1", " - 0")
	op("++;", ";")
	op("--;", ";")
	both(" = true;", " = false;")
	# what is called at the beginning of a line and not missed by the compiler
	calls = "^(arm|arm_keepalive|net_timer_(arm|disarm|remove)|tcp_timer_[a-z0-9_]+|" \
		"tcp_ack_(now|data|delay)|tcp_out_ack|tcp_output|tcp_conn_raise)[(]"
}

# With blanks in place of comments and strings.
function mask(line,    out, c, i, quote) {
	for (i = 1; i <= length(line); i++) {
		c = substr(line, i, 1)
		if (in_comment) {
			if (substr(line, i, 2) == "*/") {
				in_comment = 0
				i++
				out = out " "
			}
			c = " "
		} else if (quote) {
			if (c == "\\") {
				out = out " "
				i++
			} else if (c == quote) {
				quote = ""
			}
			c = " "
		} else if (substr(line, i, 2) == "/*") {
			in_comment = 1
			c = " "
		} else if (c == "\"" || c == "'") {
			quote = c
			c = " "
		}
		out = out c
	}
	return out " "	# an operator may be the last thing in it
}

function mutant(at, len, new,    old, text) {
	old = substr($0, at, len)
	text = substr($0, 1, at - 1) "[" old " => " new "]" substr($0, at + len)
	gsub(/[ \t]+/, " ", text)
	sub(/^ /, "", text)
	n_same = ++seen[file, text]
	if (n_same > 1)
		text = text " #" n_same
	printf "%s\t%d\t%d\t%d\t%s\t%s\n", file, FNR, at, len, new, text
}

FNR == 1 {
	in_comment = 0
	file = FILENAME
	sub(/^.*\/net\//, "net/", file)
}

{
	code = mask($0)
	was_macro = in_macro
	in_macro = (code ~ /^#/ || was_macro) && /\\$/
}

code ~ /^#/ || was_macro || code ~ /assert\(/ || code ~ /^static .*\(/ { next }

{
	for (i = 1; i <= n_ops; i++) {
		from = 1
		while ((p = index(substr(code, from), olds[i]))) {
			at = from + p - 1
			len = length(olds[i])
			from = at + len
			last = substr(olds[i], len)
			if (last == "1" && substr(code, from, 1) ~ /[0-9x.]/)
				continue
			if (olds[i] ~ /^( [+-]= |\+\+;|--;)/ && code ~ /count\[/)
				continue	# a counter: the unit tests' business
			if (olds[i] ~ /^seq_/ && substr(code, at - 1, 1) ~ /[a-z_]/)
				continue
			if (last == " " && at + len - 1 > length($0))
				mutant(at, len - 1, substr(news[i], 1, length(news[i]) - 1))
			else
				mutant(at, len, news[i])
		}
	}
	match(code, /^\t+/)
	start = RSTART ? RLENGTH + 1 : 1
	if (start > 1 && match(substr(code, start), calls))
		mutant(start, RLENGTH - 1, "(void)")
}
