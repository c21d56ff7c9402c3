package download

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestName is the maximum length of a name, in bytes. File systems allow 255
// bytes, of which 15 are left for suffixes such as ".part.json".
const longestName = 240

// Name returns the file name that Get uses if Request.Name is empty: the
// decoded last element of the URL's path, or "index.html" if the path has no
// element. If the name is not safe, Name returns an error.
func Name(rawURL string) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", errors.New("download: not a URL")
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

// CheckName returns an error unless name is safe as the name of a file in a
// directory, on any system: one element, printable, not too long, and no device
// of Windows.
func CheckName(name string) error {
	bad := func(why string) error { return fmt.Errorf("download: %q cannot be the name of a file: %s", name, why) }
	switch {
	case name == "":
		return bad("it is empty")
	case name == "." || name == "..":
		return bad("it names a directory")
	case !utf8.ValidString(name):
		return bad("it is not UTF-8")
	case strings.ContainsAny(name, `/\`):
		return bad("it has a path separator")
	case strings.ContainsAny(name, `<>:"|?*`):
		return bad(`it has one of < > : " | ? *`)
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' }):
		return bad("it has characters that do not print")
	case len(name) > longestName:
		return bad(fmt.Sprintf("it is longer than %d bytes", longestName))
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") || strings.HasPrefix(name, " "):
		return bad("it begins or ends with a space, or ends with a dot")
	case strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".part.json"):
		return bad("the suffix is reserved for unfinished downloads")
	}
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch stem {
	case "CON", "PRN", "AUX", "NUL":
		return bad("it is a device of Windows")
	}
	if len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && stem[3] >= '0' && stem[3] <= '9' {
		return bad("it is a device of Windows")
	}
	return nil
}
