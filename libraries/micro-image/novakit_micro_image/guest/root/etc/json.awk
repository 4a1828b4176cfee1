# Prints every scalar of a JSON text as path, tab, value; blanks stand for what a line cannot hold.
{ text = text $0 " " }
END { at = 1; value("") }

function peek() {
  while (substr(text, at, 1) ~ /[ \t\r]/) at++
  return substr(text, at, 1)
}
function string(    c, out) {
  at++
  while ((c = substr(text, at++, 1)) != "\"" && c != "") {
    if (c == "\\") {
      c = substr(text, at++, 1)
      if (c == "u") { at += 4; c = "?" } else if (c ~ /[bfnrt]/) c = " "
    }
    out = out c
  }
  return out
}
function value(path,    c, from, n) {
  c = peek()
  if (c == "{" || c == "[") {
    at++
    for (n = 0; (from = peek()) != "}" && from != "]" && from != ""; n++) {
      if (from == ",") { at++; n--; continue }
      if (c == "[") { value(path "." n); continue }
      from = string(); peek(); at++
      value(path == "" ? from : path "." from)
    }
    at++
  } else if (c == "\"") {
    print path "\t" string()
  } else {
    from = at++
    while (substr(text, at, 1) ~ /[-+.0-9a-zA-Z]/) at++
    print path "\t" substr(text, from, at - from)
  }
}
