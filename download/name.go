package download

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestName is the maximum length of a name, in bytes. File systems allow 255
// bytes, of which 18 are left for the longest suffix, ".concert.part.json".
const longestName = 237

// Name returns the file name that Get uses if Request.Name is empty: the
// decoded last element of the URL's path, or "index.html" if the path has no
// element. If the name is not safe, Name returns an error.
func Name(rawURL string) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", urlError(err)
	}
	// Decode after splitting. Otherwise an encoded slash would separate two
	// elements. After splitting, it is part of the name, and CheckName refuses
	// it.
	p := u.EscapedPath()
	if p == "" || strings.HasSuffix(p, "/") {
		return "index.html", nil
	}
	name, err := url.PathUnescape(path.Base(p))
	if err != nil {
		return "", fmt.Errorf("download: %s: its last element cannot be decoded", u.Redacted())
	}
	return name, CheckName(name)
}

// urlError returns an error for a URL that url.Parse refuses. It contains no
// part of the URL, because any part may be a piece of a password.
func urlError(err error) error {
	text := "download: not a URL"
	if _, ok := errors.AsType[url.EscapeError](err); ok {
		text += ": a percent sign without two hexadecimal digits after it; write the percent sign itself as %25"
	} else if strings.Contains(err.Error(), "first path segment in URL cannot contain colon") {
		text += ": it has no scheme; write http:// or https:// before the host"
	} else if strings.Contains(err.Error(), "in host name") {
		text += ": the host has a character that no host has, such as a space"
	} else if strings.Contains(err.Error(), "invalid port") {
		text += ": the port is not a number; write the characters / ? # and @ in a password as %2F %3F %23 and %40"
	}
	return errors.New(text)
}

// CheckName returns an error unless name is safe as the name of a file in a
// directory: one element, UTF-8, printable, not too long, and without the
// suffix of an unfinished download. A backslash is a separator on all systems,
// because archives and network drives bring files from one system to another.
//
// On Windows, the name must also be one that Windows can store: it has none of
// the characters < > : " | ? *, does not end with a dot, and is no device such
// as AUX or COM1, also not with an extension. Other systems permit such names.
func CheckName(name string) error { return checkName(name, runtime.GOOS == "windows") }

func checkName(name string, windows bool) error {
	bad := func(why string) error { return fmt.Errorf("download: %q cannot be the name of a file: %s", name, why) }
	switch {
	case name == "":
		return bad("it is empty")
	case strings.Trim(name, ".") == "":
		return bad("it has only dots, as the names of directories")
	case !utf8.ValidString(name):
		return bad("it is not UTF-8")
	case strings.ContainsAny(name, `/\`):
		return bad("it has a path separator")
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' }):
		return bad("it has characters that do not print")
	case len(name) > longestName:
		return bad(fmt.Sprintf("it is longer than %d bytes", longestName))
	case strings.HasSuffix(name, " ") || strings.HasPrefix(name, " "):
		return bad("it begins or ends with a space")
	case strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".part.json"):
		return bad("the suffix is reserved for unfinished downloads")
	}
	switch {
	case !windows:
		return nil
	case strings.ContainsAny(name, `<>:"|?*`):
		return bad(`it has one of < > : " | ? *, which Windows does not permit`)
	case strings.HasSuffix(name, "."):
		return bad("it ends with a dot, which Windows removes")
	}
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	stem = strings.TrimRight(stem, " ")
	switch stem {
	case "CON", "PRN", "AUX", "NUL":
		return bad("it is a device of Windows")
	}
	if len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && stem[3] >= '0' && stem[3] <= '9' {
		return bad("it is a device of Windows")
	}
	return nil
}
