# What the manual pages say about each call, in the form of header.awk. In
# ERRORS, a list belongs to the .Fn calls named in the text that leads to it.

function complain(what)
{
	print FILENAME ":" FNR ": " what
}

FNR == 1 { section = ""; subjects = 0; listed = 0 }
/^\.Sh/ { section = $2; subjects = 0; listed = 0 }

section == "SYNOPSIS" && /^\.In/ { include = $2 }
section == "SYNOPSIS" && /^\.Ft/ { type = substr($0, 5) }
section == "SYNOPSIS" && /^\.Fo/ { name = $2; args = "" }
section == "SYNOPSIS" && /^\.Fa/ {
	arg = substr($0, 5)
	gsub(/"/, "", arg)
	args = args (args == "" ? "" : ", ") arg
}
section == "SYNOPSIS" && /^\.Fc/ {
	text = type (type ~ /\*$/ ? "" : " ") name "(" args ");"
	print name "\t<" include "> " text
}

section != "ERRORS" { next }
/^\.Bl/ { listed = 1; if (!subjects) complain("a list of errors that names no call") }
/^\.El/ { listed = 0; subjects = 0 }
/^\.Fn/ && !listed { subject[++subjects] = $2 }
/^\.It/ && listed {
	for (i = 1; i < NF && $i != "Er"; i++)
		;
	if ($i != "Er")
		complain("an item without .Er")
	for (j = 1; j <= subjects; j++)
		print subject[j] "\t" $(i + 1)
}
