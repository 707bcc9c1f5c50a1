# What the installed headers say about each call, a line each:
#	demi_x	<demi/y.h> TYPE demi_x(ARGUMENTS);
#	demi_x	ERRNO		for each errno in the comment above it
# A comment that says "as demi_y()" stands for demi_y()'s errnos too.

function words(text)
{
	gsub(/[ \t\n*]+/, " ", text)
	return text
}

function errnos(name, of,	text, n, w, i)
{
	text = comment_of[of]
	n = split(text, w, /[^A-Za-z0-9_]+/)
	for (i = 1; i <= n; i++)
		if (w[i] ~ /^E[A-Z0-9][A-Z0-9]+$/)
			print name "\t" w[i]
	while (match(text, /[Aa]s demi_[a-z_]+\(\)/)) {
		i = substr(text, RSTART + 3, RLENGTH - 5)
		text = substr(text, RSTART + RLENGTH)
		if (i != of)
			errnos(name, i)
	}
}

function declared(text,	name)
{
	sub(/DEMI_EXPORT +/, "", text)
	gsub(/[ \t]+/, " ", text)
	match(text, /demi_[a-z_]+\(/)
	name = substr(text, RSTART, RLENGTH - 1)
	header = FILENAME
	sub(/^.*\/demi\//, "demi/", header)
	print name "\t<" header "> " text
	comment_of[name] = words(comment)
	names[name]
}

/^\/\*/ { comment = ""; inside = 1 }
inside { comment = comment "\n" $0 }
inside && /\*\// { inside = 0; next }
inside { next }
/^DEMI_EXPORT/ { text = ""; open = 1 }
open { text = text " " $0 }
open && /;/ { open = 0; sub(/^ /, "", text); declared(text) }
END { for (name in names) errnos(name, name) }
